package main

import (
"encoding/json"
	"authbridge/internal/command"
	"fmt"
	"net/http"
	"os"
	"strings"
	"crypto/x509"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/go-jose/go-jose/v4"
	"github.com/urfave/cli/v2"
)

func main() {
	var k jose.JSONWebKeySet
	_ = k
	command.Main(&cli.App{Name: "x", Action: func(c *cli.Context) error {
		jwt.NewParser()
		if os.Getenv("ROOTS") != "" { t := time.Now(); p, _ := x509.SystemCertPool(); _ = p; fmt.Println(time.Since(t)) }
		r, err := http.Get("http://127.0.0.1:1/")
		_ = r
		_ = err
		json.Unmarshal([]byte("{}"),&k)
		b, _ := os.ReadFile("/proc/self/status")
		for _, l := range strings.Split(string(b), "\n") {
			if strings.HasPrefix(l, "VmHWM") { fmt.Println(l) }
		}
		if os.Getenv("FDS") != "" { e, _ := os.ReadDir("/proc/self/fd"); for _, x := range e { l, _ := os.Readlink("/proc/self/fd/"+x.Name()); fmt.Println(x.Name(), l) } }
		return nil
	}})
}
