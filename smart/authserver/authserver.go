// Package authserver is a small authorization server for SMART Backend Services: a
// token endpoint and its discovery document, for hosts that have no other.
package authserver
