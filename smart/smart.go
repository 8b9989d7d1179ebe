// Package smart lets only those export who may, by SMART Backend Services: it turns
// the bearer token of a request into the caller and what its scopes allow.
package smart
