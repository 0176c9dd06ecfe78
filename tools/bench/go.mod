module github.com/rseqkit/rseqkit/tools/bench

go 1.25.0

require (
	github.com/aclements/go-moremath v0.0.0-20210112150236-f10218a38794
	github.com/puzpuzpuz/xsync/v4 v4.5.0
	github.com/rseqkit/rseqkit v0.0.0
	golang.org/x/sys v0.47.0
)

replace github.com/rseqkit/rseqkit => ../..
