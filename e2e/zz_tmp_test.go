package e2e

import (
	"fmt"
	"os"
	"strings"
	"strconv"
	"testing"
)

func cpuOf(pid int, children bool) float64 {
	stat, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	f := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	n := 2
	if children { n = 4 }
	t := 0.0
	for _, x := range f[11:11+n] { v, _ := strconv.Atoi(x); t += float64(v)/100 }
	if children {
		kids, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
		for _, k := range strings.Fields(string(kids)) { v, _ := strconv.Atoi(k); t += cpuOf(v, true) }
	}
	return t
}

func TestGrantsZZ(t *testing.T) {
	s := newGrantServer(t, racers)
	wires := s.wires(racers)
	conn := s.superuser("authserver")
	stat, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", conn.PgConn().PID()))
	pm, _ := strconv.Atoi(strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))[1])
	show := func(what string) {
		t.Logf("%s: server %.2f pg %.2f self %.2f", what, cpuOf(s.process.cmd.Process.Pid, false), cpuOf(pm, true), cpuOf(os.Getpid(), false))
	}
	const n = 200
	show("start")
	s.race(wires, each(redeem, s.codes(n)), func(n int, answers []answer) {})
	show("codes")
	first := s.all(wires, each(redeem, s.codes(n)))
	show("redeemed")
	s.race(wires, each(refresh, refreshTokens(first)), func(n int, answers []answer) {})
	show("refresh")
}
