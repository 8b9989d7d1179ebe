//go:build !race

package faulttest_test

const slowdown = 1
