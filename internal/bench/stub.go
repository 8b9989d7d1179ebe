package main

import (
	"context"
	"errors"
	"io"

	"github.com/bulkexport/bulkexport/source/gormsource"
)

func postgresExperiments() []experiment                                { return nil }
func hostExperiments() []experiment                                    { return nil }
func httpExperiments() []experiment                                    { return nil }
func smallExperiments() []experiment                                   { return nil }
func growthExperiments() []experiment                                  { return nil }
func hostTable() gormsource.Table                                      { return gormsource.Table{} }
func structs(context.Context, task) (outcome, error)                   { return outcome{}, errors.New("todo") }
func byHand(context.Context, task) (outcome, error)                    { return outcome{}, errors.New("todo") }
func (x *exporting) serve(context.Context, io.Reader, io.Writer) error { return errors.New("todo") }
