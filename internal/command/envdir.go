package command

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// readEnvdir sets the environment from the files in dir as the envdir program
// of daemontools does: a file's name is the variable and its first line the
// value, without blanks at its end and with NUL standing for a line end. An
// empty file unsets the variable. A name that begins with a dot is no variable.
func readEnvdir(dir string) error {
	files, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("--envdir: %w", err)
	}
	for _, file := range files {
		name := file.Name()
		if strings.HasPrefix(name, ".") {
			continue
		}
		content, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			return fmt.Errorf("--envdir: %w", err)
		}
		if len(content) == 0 {
			err = os.Unsetenv(name)
		} else {
			line, _, _ := bytes.Cut(content, []byte("\n"))
			value := strings.ReplaceAll(strings.TrimRight(string(line), " \t\r"), "\x00", "\n")
			err = os.Setenv(name, value)
		}
		if err != nil {
			return fmt.Errorf("--envdir: %s: %w", filepath.Join(dir, name), err)
		}
	}
	return nil
}
