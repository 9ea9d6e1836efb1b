package workload

import (
	"errors"
	"math/rand/v2"
	"slices"
)

// Op is one operation on some rows.
type Op struct {
	// Keys are the rows that it reads, in ascending order: taking locks in one
	// order keeps transactions from deadlocking.
	Keys []int64
	// Deltas are what it adds to each row. Nil means that this depends on what
	// the rows hold: see [Op.Decide].
	Deltas []int64
	// Bulk says that the rows are many, and that all get the same.
	Bulk bool
	// Actor is the index in Keys of the doctor who wants to leave or come back.
	// It means something without Deltas only.
	Actor int
}

// ErrDeclined ends an operation that its rows do not allow.
var ErrDeclined = errors.New("the rows do not allow it")

// Decide sets deltas to what the operation adds to rows that hold values, in the
// order of Keys; a row whose delta is zero is read but not written. Rows that do
// not allow the operation are [ErrDeclined].
func (o *Op) Decide(values, deltas []int64) error {
	if o.Deltas == nil {
		return o.duty(values, deltas)
	}
	for i, delta := range o.Deltas {
		if _, err := Add(values[i], delta); err != nil {
			return err
		}
	}
	copy(deltas, o.Deltas)
	return nil
}

// Add returns what a row that holds value holds after delta was added. A row that
// does not allow that is [ErrDeclined].
func Add(value, delta int64) (int64, error) {
	if value+delta < 0 {
		return value, ErrDeclined
	}
	return value + delta, nil
}

// Forbidden tells whether rows that hold values contradict what every operation
// preserves. Only an operation that was committed says anything: others may have
// read rows at different times.
func (o *Op) Forbidden(values []int64) bool {
	return o.Deltas == nil && values[0] < onCall && values[1] < onCall
}

// onCall is what the row of a doctor on call holds; it holds zero otherwise.
const onCall = 1

// duty lets a doctor leave if the other one stays, or come back.
func (o *Op) duty(values, deltas []int64) error {
	me, other := o.Actor, 1-o.Actor
	deltas[other] = 0
	switch {
	case values[me] < onCall:
		deltas[me] = onCall
	case values[other] < onCall:
		return ErrDeclined
	default:
		deltas[me] = -onCall
	}
	return nil
}

// Source yields the operations of one client. Equal seeds yield equal
// operations. It is not safe for concurrent use.
type Source struct {
	next         func(s *Source) Op
	sampler      *Sampler
	random       *rand.Rand
	keys, deltas []int64
	taken        map[int64]struct{} // the keys of a bulk operation so far
	drawn        []int32            // see Drawn
}

// Next returns the next operation. Its slices are reused.
func (s *Source) Next() Op { return s.next(s) }

// Drawn returns the keys that were chosen so far, in order: of each operation the
// first one, which depends on the distribution alone.
func (s *Source) Drawn() []int32 { return s.drawn }

// draw chooses a key that depends on the distribution alone.
func (s *Source) draw() int64 {
	key := s.sampler.Draw(s.random)
	s.drawn = append(s.drawn, int32(key)) // keys are numbered by int32: see Sampler
	return key
}

func (s *Source) counter() Op {
	s.keys[0], s.deltas[0] = s.draw(), 1
	return Op{Keys: s.keys, Deltas: s.deltas}
}

// maxAmount is the greatest amount of a transfer. With it some transfers meet
// an account that has too little, so that the check of funds is exercised.
const maxAmount = 100

func (s *Source) transfer() Op {
	a := s.draw()
	b := s.sampler.drawOther(s.random, a)
	amount := 1 + s.random.Int64N(maxAmount)
	if s.random.IntN(2) == 0 {
		amount = -amount
	}
	s.keys[0], s.keys[1] = min(a, b), max(a, b)
	s.deltas[0], s.deltas[1] = amount, -amount
	return Op{Keys: s.keys, Deltas: s.deltas}
}

func (s *Source) doctors() Op {
	me := s.draw()
	s.keys[0], s.keys[1] = me&^1, me|1
	return Op{Keys: s.keys, Actor: int(me & 1)}
}

func (s *Source) batch() Op {
	clear(s.taken)
	for i := range s.keys {
		var key int64
		if i == 0 {
			key = s.draw()
		} else {
			key = s.sampler.drawFree(s.random, s.taken)
		}
		s.taken[key] = struct{}{}
		s.keys[i], s.deltas[i] = key, 1
	}
	slices.Sort(s.keys)
	return Op{Keys: s.keys, Deltas: s.deltas, Bulk: true}
}
