// Command says prints its version, and the platform that it was compiled for.
//
// With the argument primes, it counts prime numbers, and prints how long that took.
package main

import (
	"fmt"
	"os"
	"runtime"
	"time"
)

var version = "dev" // set by the linker: -X main.version=…

func main() {
	if len(os.Args) > 1 && os.Args[1] == "primes" {
		start := time.Now()
		count := primesBelow(20_000_000)
		fmt.Printf("%d primes in %d ms\n", count, time.Since(start).Milliseconds())
		return
	}
	fmt.Printf("version %s, compiled for %s/%s\n", version, runtime.GOOS, runtime.GOARCH)
}

// primesBelow crosses out all multiples, and counts what is left.
func primesBelow(n int) int {
	crossed := make([]bool, n)
	count := 0
	for i := 2; i < n; i++ {
		if crossed[i] {
			continue
		}
		count++
		for j := i * i; j < n; j += i {
			crossed[j] = true
		}
	}
	return count
}
