package web

import (
	"math"
	"net/http/httptest"
	"path"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"
)

func TestStatic(t *testing.T) {
	if len(statics) != 3 || len(staticPaths) != 3 {
		t.Fatalf("%v", staticPaths)
	}
	name := regexp.MustCompile(`^/static/[a-z]+\.[0-9a-f]{16}\.(css|js|svg)$`)
	for file, at := range staticPaths {
		if !name.MatchString(at) {
			t.Errorf("%s is at %s", file, at)
		}
		want, err := staticFiles.ReadFile("static/" + file)
		if err != nil {
			t.Fatal(err)
		}
		w := httptest.NewRecorder()
		w.Header().Set("Vary", "Cookie")
		Static.ServeHTTP(w, httptest.NewRequest("GET", at, nil))
		if w.Code != 200 || w.Body.String() != string(want) {
			t.Errorf("%s: %d, %d bytes", at, w.Code, w.Body.Len())
		}
		h := w.Header()
		if got := h.Get("Cache-Control"); got != "public, max-age=31536000, immutable" {
			t.Errorf("%s: Cache-Control: %q", at, got)
		}
		if h.Get("X-Content-Type-Options") != "nosniff" || h.Get("Vary") != "" {
			t.Errorf("%s: %v", at, h)
		}
		contentType := map[string]string{".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}[path.Ext(file)]
		if got := h.Get("Content-Type"); got != contentType {
			t.Errorf("%s: Content-Type: %q, want %q", at, got, contentType)
		}

		w = httptest.NewRecorder()
		Static.ServeHTTP(w, httptest.NewRequest("POST", at, nil))
		if w.Code != 405 || w.Header().Get("Allow") != "GET, HEAD" || w.Header().Get("Cache-Control") != "" {
			t.Errorf("POST %s: %d, %v", at, w.Code, w.Header())
		}
	}
}

func TestStaticNotFound(t *testing.T) {
	at := staticPaths["style.css"]
	for _, name := range []string{"/static/", "/static", "/static/style.css", "/static/style.0000000000000000.css", at + "/", "/static/../static/style.css", strings.ToUpper(at), "/static/%2e%2e/page.go"} {
		w := httptest.NewRecorder()
		Static.ServeHTTP(w, httptest.NewRequest("GET", name, nil))
		if w.Code != 404 || strings.Contains(w.Header().Get("Cache-Control"), "public") {
			t.Errorf("%s: %d, %v", name, w.Code, w.Header())
		}
	}
}

// Another content has another name: what a browser keeps for good is never old.
func TestStaticNames(t *testing.T) {
	at := func(content string) string {
		_, paths := loadStatic(fstest.MapFS{"static/a.css": {Data: []byte(content)}})
		return paths["a.css"]
	}
	if at("a") == at("b") || at("a") == at("") {
		t.Errorf("%s, %s, %s", at("a"), at("b"), at(""))
	}
}

// Pages look the same without the rest of the world.
func TestStylesheet(t *testing.T) {
	css, err := staticFiles.ReadFile("static/style.css")
	if err != nil {
		t.Fatal(err)
	}
	for _, no := range []string{"url(", "@import", "@font-face", "outline: none", "outline: 0", "!important"} {
		if strings.Contains(string(css), no) {
			t.Errorf("style.css has %q", no)
		}
	}
	for _, want := range []string{"prefers-color-scheme: dark", ":focus-visible", "max-width:"} {
		if !strings.Contains(string(css), want) {
			t.Errorf("style.css has no %q", want)
		}
	}
	// A color that only one of the schemes has is forgotten in the other.
	light, dark, _ := strings.Cut(string(css), "prefers-color-scheme: dark")
	dark, _, _ = strings.Cut(dark, "\n}")
	for _, name := range regexp.MustCompile(`--[a-z-]+:`).FindAllString(light, -1) {
		if !strings.Contains(dark, " "+name) {
			t.Errorf("style.css has no %s in the dark", name)
		}
	}
	for _, used := range regexp.MustCompile(`var\((--[a-z-]+)\)`).FindAllStringSubmatch(string(css), -1) {
		if !strings.Contains(light, used[1]+":") {
			t.Errorf("style.css has no color %s", used[1])
		}
	}
}

// Whoever sees little can read everything, in both schemes (WCAG 2.2, 1.4.3 and
// 1.4.11).
func TestContrast(t *testing.T) {
	css, err := staticFiles.ReadFile("static/style.css")
	if err != nil {
		t.Fatal(err)
	}
	light, dark, _ := strings.Cut(string(css), "prefers-color-scheme: dark")
	for scheme, css := range map[string]string{"light": light, "dark": dark} {
		for _, tt := range []struct {
			of, on string
			want   float64
		}{
			{"text", "card", 4.5}, {"text", "ground", 4.5}, {"text", "second", 4.5}, {"text", "second-strong", 4.5},
			{"muted", "card", 4.5}, {"muted", "ground", 4.5}, {"on-accent", "accent", 4.5}, {"on-accent", "accent-strong", 4.5},
			{"problem", "problem-ground", 4.5}, {"problem", "card", 3}, {"field", "card", 3}, {"accent", "card", 3},
		} {
			a, b := luminance(t, css, tt.of), luminance(t, css, tt.on)
			if ratio := (max(a, b) + 0.05) / (min(a, b) + 0.05); ratio < tt.want {
				t.Errorf("%s: --%s on --%s has a contrast of %.2f, want %.1f", scheme, tt.of, tt.on, ratio, tt.want)
			}
		}
	}
}

// luminance is the relative luminance of a color of the stylesheet.
func luminance(t *testing.T, css, name string) float64 {
	t.Helper()
	found := regexp.MustCompile(`\s--` + name + `: #([0-9a-f]{6}|[0-9a-f]{3});`).FindStringSubmatch(css)
	if found == nil {
		t.Fatalf("no color --%s", name)
	}
	hex := found[1]
	if len(hex) == 3 {
		hex = string([]byte{hex[0], hex[0], hex[1], hex[1], hex[2], hex[2]})
	}
	var sum float64
	for i, weight := range []float64{0.2126, 0.7152, 0.0722} {
		n, err := strconv.ParseUint(hex[2*i:2*i+2], 16, 8)
		if err != nil {
			t.Fatal(err)
		}
		c := float64(n) / 255
		if c <= 0.04045 {
			c /= 12.92
		} else {
			c = math.Pow((c+0.055)/1.055, 2.4)
		}
		sum += weight * c
	}
	return sum
}
