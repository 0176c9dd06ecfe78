package percpu_test

import (
	"fmt"
	"sync"

	"github.com/rseqkit/rseqkit/percpu"
)

func ExampleCounter() {
	var requests percpu.Counter // ready as it is
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 1000 {
				requests.Inc()
			}
		})
	}
	wg.Wait()
	fmt.Println(requests.Value())
	// Output: 8000
}

// A collector takes what came in since last time; nothing falls between two
// collections.
func ExampleCounter_Drain() {
	var bytes percpu.Counter
	bytes.Add(1500)
	bytes.Add(500)
	fmt.Println(bytes.Drain(), bytes.Value())
	// Output: 2000 0
}

func ExampleUintCounter() {
	var packets percpu.UintCounter
	packets.Add(1 << 63)
	packets.Inc()
	fmt.Println(packets.Value())
	// Output: 9223372036854775809
}

func ExampleFloatCounter() {
	var seconds percpu.FloatCounter
	seconds.Add(0.25)
	seconds.Add(1.5)
	fmt.Println(seconds.Value())
	// Output: 1.75
}

// One counter for each status class, all read in one pass.
func ExampleCounterGroup() {
	classes, err := percpu.NewCounterGroup(6)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, status := range []int{200, 204, 404, 200, 503} {
		classes.Inc(status / 100)
	}
	fmt.Println(classes.Values(nil))
	// Output: [0 0 3 0 1 1]
}
