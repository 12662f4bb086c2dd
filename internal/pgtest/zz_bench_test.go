package pgtest

import (
	"context"
	"fmt"
	"testing"
	"time"

	"authbridge/internal/pgcluster"
	"authbridge/sql"
	"github.com/jackc/pgx/v5"
)

func TestMeasure(t *testing.T) {
	ctx := context.Background()
	t0 := time.Now()
	c, err := pgcluster.Start(ctx, pgcluster.Options{Locale: "C"})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Stop()
	fmt.Println("start", time.Since(t0))
	admin, _ := pgx.Connect(ctx, c.URL("postgres", "postgres"))
	admin.Exec(ctx, "create database tmpl template template0")
	t0 = time.Now()
	tc, _ := pgx.Connect(ctx, c.URL("postgres", "tmpl"))
	if err := sql.Init(ctx, tc); err != nil {
		t.Fatal(err)
	}
	if err := sql.Migrate(ctx, tc); err != nil {
		t.Fatal(err)
	}
	if err := sql.InstallSPAPI(ctx, tc); err != nil {
		t.Fatal(err)
	}
	tc.Close(ctx)
	fmt.Println("migrate", time.Since(t0))
	for _, s := range []string{"wal_log", "file_copy", "wal_log", "file_copy"} {
		var create, conn, ini, drop time.Duration
		const n = 20
		for i := range n {
			t0 = time.Now()
			if _, err := admin.Exec(ctx, fmt.Sprintf("create database t%d template tmpl strategy %s", i, s)); err != nil {
				t.Fatal(err)
			}
			if i > 0 {
				create += time.Since(t0)
			}
			t0 = time.Now()
			c1, err := pgx.Connect(ctx, c.URL("postgres", fmt.Sprintf("t%d", i)))
			if err != nil {
				t.Fatal(err)
			}
			conn += time.Since(t0)
			t0 = time.Now()
			if err := sql.Init(ctx, c1); err != nil {
				t.Fatal(err)
			}
			ini += time.Since(t0)
			c1.Close(ctx)
			t0 = time.Now()
			if _, err := admin.Exec(ctx, fmt.Sprintf("drop database t%d with (force)", i)); err != nil {
				t.Fatal(err)
			}
			drop += time.Since(t0)
		}
		fmt.Println(s, "create", create/(n-1), "connect", conn/n, "init", ini/n, "drop", drop/n)
	}
}
