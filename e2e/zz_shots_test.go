package e2e

import (
	"os"

	"github.com/chromedp/chromedp"
)

func shot(b *Tab, name string) {
	var png []byte
	b.do("shooting", chromedp.FullScreenshot(&png, 100))
	os.WriteFile("/tmp/shots/"+name+".png", png, 0o644)
}
