package main

import (
	"github.com/urfave/cli/v2"
)

type database struct{}

func (d *database) flags() []cli.Flag { return nil }
