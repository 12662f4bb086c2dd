package e2e

import (
	"debug/elf"
	"testing"
)

// The client runs in chroots and on machines that have nothing of ours.
func TestCheckpasswordIsStatic(t *testing.T) {
	t.Parallel()
	program, err := elf.Open(Binary(t, "checkpassword"))
	if err != nil {
		t.Fatal(err)
	}
	defer program.Close()
	libraries, err := program.ImportedLibraries()
	if err != nil || len(libraries) > 0 {
		t.Errorf("it needs %q, %v", libraries, err)
	}
	for _, p := range program.Progs {
		if p.Type == elf.PT_INTERP {
			t.Error("it needs a dynamic linker")
		}
	}
}
