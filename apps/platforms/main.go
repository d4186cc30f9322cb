// Command says prints its version, and the platform that it was compiled for.
package main

import (
	"fmt"
	"runtime"
)

var version = "dev" // set by the linker: -X main.version=…

func main() {
	fmt.Printf("version %s, compiled for %s/%s\n", version, runtime.GOOS, runtime.GOARCH)
}
