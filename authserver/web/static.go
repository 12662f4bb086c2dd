package web

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"strconv"
	"strings"
)

//go:embed static
var staticFiles embed.FS

// Static serves /static/…: stylesheet, script and icons. Their names have a
// hash of their content, so browsers may keep them for good.
var Static http.Handler = statics

// statics are the files by where they are served.
var statics, staticPaths = loadStatic(staticFiles)

type staticFile struct {
	contentType string
	content     []byte
}

type staticSite map[string]staticFile

func (s staticSite) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	file, ok := s[r.URL.Path]
	if !ok {
		http.NotFound(w, r)
		return
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "Method not allowed", http.StatusMethodNotAllowed)
		return
	}
	h := w.Header()
	h.Set("Content-Type", file.contentType)
	h.Set("Content-Length", strconv.Itoa(len(file.content)))
	h.Set("Cache-Control", "public, max-age=31536000, immutable")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Del("Vary") // the same for everybody
	w.Write(file.content)
}

// loadStatic gives every file of the folder static the path that it is served
// at: static/style.css is at /static/style.<hash>.css.
func loadStatic(files fs.FS) (site staticSite, paths map[string]string) {
	site, paths = staticSite{}, map[string]string{}
	names, err := fs.Glob(files, "static/*")
	if err != nil {
		panic(err)
	}
	for _, name := range names {
		content, err := fs.ReadFile(files, name)
		if err != nil {
			panic(err)
		}
		ext := path.Ext(name)
		contentType, ok := contentTypes[ext]
		if !ok {
			panic("web: what type is " + name + "?")
		}
		sum := sha256.Sum256(content)
		at := "/" + strings.TrimSuffix(name, ext) + "." + hex.EncodeToString(sum[:8]) + ext
		site[at] = staticFile{contentType, content}
		paths[path.Base(name)] = at
	}
	return site, paths
}

// contentTypes are not asked of the package mime, which reads the machine's.
var contentTypes = map[string]string{
	".css": "text/css; charset=utf-8",
	".js":  "text/javascript; charset=utf-8",
	".svg": "image/svg+xml",
}

func staticPath(name string) (string, error) {
	at, ok := staticPaths[name]
	if !ok {
		return "", fmt.Errorf("no file static/%s", name)
	}
	return at, nil
}
