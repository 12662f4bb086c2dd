package account

import (
	"testing"

	"authbridge/internal/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }
