// Package runtime gives memory to the canonical ABI. Go's memory is collected, so what the host writes to or reads
// is pinned for as long as it may.
package runtime

import (
	"runtime"
	"unsafe"
)

// Allocate gives memory that stays until the pinner lets go.
func Allocate(pinner *runtime.Pinner, size, align uintptr) unsafe.Pointer {
	if size == 0 {
		return nil
	}
	// Words, so that it is aligned for all that the ABI knows.
	memory := unsafe.Pointer(unsafe.SliceData(make([]uint64, (size+7)/8)))
	pinner.Pin(memory)
	return memory
}

// Arguments of the running call.
var arguments runtime.Pinner

// Unpin lets go of a call's arguments: from then on they live as long as somebody refers to them.
func Unpin() { arguments.Unpin() }

// The host makes room for arguments here. It never enlarges what it got.
//
//go:wasmexport cabi_realloc
func realloc(_ unsafe.Pointer, _, align, size uint32) unsafe.Pointer {
	return Allocate(&arguments, uintptr(size), uintptr(align))
}
