package main

import (
	"context"
	"fmt"
	"os/exec"
	"runtime"
	"strings"
)

// The versions that this project is checked with.
const (
	staticcheck = "honnef.co/go/tools/cmd/staticcheck@v0.8.2"
	// The newest toolchain whose export data staticcheck reads.
	staticcheckGo = "go1.26.8"
	newestGo      = "go1.27.0"
	oldestGo      = "go1.25.0"
)

// modules of the repository, by folder.
var modules = []string{".", "tools", "tools/bench"}

// core is what a user of the library imports, and what is tested everywhere.
var core = []string{".", "./rseq/...", "./cpumem", "./cpuopv", "./percpu", "./internal/..."}

// targets are the systems that the core is built and vetted for.
var targets = []string{
	"linux/amd64", "linux/arm64", "linux/386", "linux/arm", "linux/riscv64", "linux/s390x", "linux/ppc64le", "linux/loong64",
	"darwin/arm64", "windows/amd64", "freebsd/amd64", "js/wasm",
}

// machine is a virtual machine that tests run in.
type machine struct {
	arch, kernel string
	cpus         int
	packages     []string
}

var machines = []machine{
	{"arm64", "6.12", 4, core},
	{"arm64", "7.3", 4, core},
	{"amd64", "6.1", 8, core},
	{"amd64", "7.3", 8, core},
	{"amd64", "7.3", 16, []string{".", "./percpu"}}, // exactness on many CPUs
}

// steps lists everything, the quickest to fail first.
func steps(r *runner) []step {
	list := []step{
		{name: "style/gofmt", run: gofmt},
	}
	for _, m := range modules {
		list = append(list,
			step{name: "style/vet " + m, run: func(ctx context.Context, r *runner) result {
				return one(r.command(ctx, m, nil, "go", "vet", "./..."))
			}},
			step{name: "style/staticcheck " + m, run: func(ctx context.Context, r *runner) result {
				return one(r.command(ctx, m, []string{"GOTOOLCHAIN=" + staticcheckGo}, "go", "run", staticcheck, "./..."))
			}},
			step{name: "style/tidy " + m, run: func(ctx context.Context, r *runner) result {
				return one(r.command(ctx, m, []string{"GOWORK=off"}, "go", "mod", "tidy", "-diff"))
			}})
	}
	for _, target := range targets {
		goos, goarch, _ := strings.Cut(target, "/")
		list = append(list, step{name: "build/" + target, run: func(ctx context.Context, r *runner) result {
			env := []string{"GOOS=" + goos, "GOARCH=" + goarch, "CGO_ENABLED=0"}
			build := one(r.command(ctx, ".", env, "go", "build", "./..."))
			vet := one(r.command(ctx, ".", env, "go", "vet", "./..."))
			return sum(build, vet)
		}})
	}
	list = append(list, tests()...)
	list = append(list, tools()...)
	return append(list, virtual(r)...)
}

// variant is one way to build and run the core's tests.
type variant struct {
	name    string
	long    bool
	engine  string   // what RSEQKIT_TEST_ENGINE expects where the machine has rseq; "" for anything
	env     []string // of go test
	flags   []string // of go test
	deny    []string // system calls, as denysyscall takes them
	missing func() string
}

var pure = []string{"CGO_ENABLED=0"}

var variants = []variant{
	{name: "pure go", engine: "rseq", env: pure},
	{name: "locked", engine: "locked", env: append(pure, "RSEQKIT_ENGINE=locked")},
	{name: "portable", engine: "portable", env: append(pure, "RSEQKIT_ENGINE=portable")},
	{name: "purego", engine: "portable", env: pure, flags: []string{"-tags=purego"}},
	{name: "386", engine: "portable", env: append(pure, "GOARCH=386"), missing: needAMD64},
	{name: "pie", engine: "rseq", env: pure, flags: []string{"-buildmode=pie"}},
	{name: "libc", engine: "rseq", flags: []string{"-tags=libc"}, missing: needCgo},
	{name: "libc, tunable off", engine: "rseq", env: []string{"GLIBC_TUNABLES=glibc.pthread.rseq=0"}, flags: []string{"-tags=libc"}, missing: needCgo},
	{name: "libc, locked", engine: "locked", env: []string{"RSEQKIT_ENGINE=locked"}, flags: []string{"-tags=libc"}, missing: needCgo},
	{name: "race", engine: "rseq", flags: []string{"-race"}, missing: needCgo},
	{name: "race, tunable off", engine: "rseq", env: []string{"GLIBC_TUNABLES=glibc.pthread.rseq=0"}, flags: []string{"-race"}, missing: needCgo},
	{name: "race, locked", engine: "locked", env: []string{"RSEQKIT_ENGINE=locked"}, flags: []string{"-race"}, missing: needCgo},
	{name: "race, portable", engine: "portable", env: []string{"RSEQKIT_ENGINE=portable"}, flags: []string{"-race"}, missing: needCgo},
	{name: "no rseq (ENOSYS)", engine: "locked", env: pure, deny: []string{"rseq=ENOSYS"}},
	{name: "no rseq (EPERM)", engine: "locked", env: pure, deny: []string{"rseq=EPERM"}},
	{name: "no rseq (ENOSYS), libc", engine: "locked", flags: []string{"-tags=libc"}, deny: []string{"rseq=ENOSYS"}, missing: needCgo},
	{name: "no rseq (EPERM), libc", engine: "locked", flags: []string{"-tags=libc"}, deny: []string{"rseq=EPERM"}, missing: needCgo},
	{name: "no membarrier (ENOSYS)", engine: "locked", env: pure, deny: []string{"membarrier=ENOSYS"}},
	{name: "no membarrier (EPERM)", engine: "locked", env: pure, deny: []string{"membarrier=EPERM"}},
	{name: "no process_vm_readv", engine: "rseq", flags: []string{"-tags=libc"}, deny: []string{"process_vm_readv=EPERM"}, missing: needCgo},
	{name: "future go", engine: "locked", env: pure, flags: []string{"-ldflags=-X=github.com/rseqkit/rseqkit/rseq.goVersionOverride=go1.99.0"}},
	{name: oldestGo, engine: "rseq", env: append(pure, "GOTOOLCHAIN="+oldestGo)},
	{name: newestGo, engine: "rseq", env: append(pure, "GOTOOLCHAIN="+newestGo)},
	{name: oldestGo + ", race", engine: "rseq", env: []string{"GOTOOLCHAIN=" + oldestGo}, flags: []string{"-race"}, missing: needCgo},
	{name: newestGo + ", race", engine: "rseq", env: []string{"GOTOOLCHAIN=" + newestGo}, flags: []string{"-race"}, missing: needCgo},
}

func tests() (list []step) {
	for _, v := range variants {
		list = append(list, step{name: "test/" + v.name, long: v.long, missing: v.missing, run: func(ctx context.Context, r *runner) result {
			// The first variant runs the long tests, too.
			flags := v.flags
			if r.quick || v.name != "pure go" {
				flags = append([]string{"-short"}, flags...)
			}
			env := v.env
			if runtime.GOOS == "linux" {
				env = append([]string{"RSEQKIT_TEST_ENGINE=" + v.engine}, env...)
			}
			if len(v.deny) > 0 {
				exec, built := r.build(ctx, "denysyscall")
				if built.failed > 0 {
					return built
				}
				for _, d := range v.deny {
					exec += " -deny " + d
				}
				flags = append(flags, "-exec="+exec)
			}
			return r.goTest(ctx, ".", env, append(flags, core...)...)
		}})
	}
	return list
}

func tools() []step {
	return []step{
		{name: "tools/test", run: func(ctx context.Context, r *runner) result {
			return r.goTest(ctx, "tools", nil, "-short", "./...")
		}},
		{name: "tools/test bench", run: func(ctx context.Context, r *runner) result {
			return r.goTest(ctx, "tools/bench", nil, "./...")
		}},
		{name: "tools/benchmarks run", run: func(ctx context.Context, r *runner) result {
			return one(r.command(ctx, "tools/bench", nil, "go", "test", "-run=^$", "-bench=.", "-benchtime=10x", "./..."))
		}},
		{name: "tools/info", run: func(ctx context.Context, r *runner) result {
			return one(r.command(ctx, ".", nil, "go", "run", "./tools/rseqkit", "info", "--json"))
		}},
		{name: "tools/demo", run: func(ctx context.Context, r *runner) result {
			return one(r.command(ctx, ".", nil, "go", "run", "./tools/rseqkit", "demo", "--duration=2s"))
		}},
		{name: "tools/fuzz libc parser", long: true, run: func(ctx context.Context, r *runner) result {
			return one(r.command(ctx, "rseq", nil, "go", "test", "-run=^$", "-fuzz=FuzzLibcImage", "-fuzztime=15s", "."))
		}},
	}
}

// virtual runs the core's tests inside machines, one boot a package.
func virtual(*runner) (list []step) {
	for _, m := range machines {
		list = append(list, step{
			name:    fmt.Sprintf("vm/%s, linux %s, %d cpus", m.arch, m.kernel, m.cpus),
			long:    true,
			missing: func() string { return needQEMU(m.arch) },
			run: func(ctx context.Context, r *runner) result {
				program, built := r.build(ctx, "vmtest")
				if built.failed > 0 {
					return built
				}
				env := []string{"CGO_ENABLED=0", "GOARCH=" + m.arch, "RSEQKIT_TEST_ENGINE=rseq"}
				vm := fmt.Sprintf("-exec=%s -kernel %s -cpus %d -timeout 10m", program, m.kernel, m.cpus)
				return r.goTest(ctx, ".", env, append([]string{"-short", "-p=1", vm}, m.packages...)...)
			},
		})
	}
	return list
}

// build compiles one of our tools and returns the program's path.
func (r *runner) build(ctx context.Context, tool string) (string, result) {
	program := r.scratch + "/" + tool
	return program, one(r.command(ctx, "tools", []string{"GOOS=", "GOARCH="}, "go", "build", "-o", program, "./"+tool))
}

func gofmt(ctx context.Context, r *runner) result {
	out, err := r.command(ctx, ".", nil, "gofmt", "-l", ".")
	if err == nil && out != "" {
		err = fmt.Errorf("gofmt would change these files")
	}
	return one(out, err)
}

func needAMD64() string {
	if runtime.GOARCH != "amd64" {
		return "this machine does not run 386 programs"
	}
	return ""
}

func needCgo() string {
	if _, err := exec.LookPath("gcc"); err != nil {
		return "needs gcc for cgo and the race detector"
	}
	return ""
}

func needQEMU(arch string) string {
	program := map[string]string{"amd64": "qemu-system-x86_64", "arm64": "qemu-system-aarch64"}[arch]
	if _, err := exec.LookPath(program); err != nil {
		return fmt.Sprintf("needs %s: install Debian's qemu-system-x86 and qemu-system-arm, or the like", program)
	}
	return ""
}
