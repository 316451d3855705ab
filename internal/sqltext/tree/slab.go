package tree

// slab allocates nodes of one type, many in one allocation.
type slab[T any] struct {
	free []T
	size int
}

const (
	firstSlab = 4
	lastSlab  = 256
)

func (s *slab[T]) take() *T {
	if len(s.free) == 0 {
		s.size = min(max(2*s.size, firstSlab), lastSlab)
		s.free = make([]T, s.size)
	}
	x := &s.free[0]
	s.free = s.free[1:]
	return x
}
