//go:build race

package faulttest_test

// slowdown is how much slower the race detector makes a schedule, about.
const slowdown = 6
