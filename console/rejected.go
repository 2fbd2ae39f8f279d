package console

import (
	"strconv"
	"time"

	"tidings/hub"
	"tidings/notifications"
	"tidings/persistence"
)

// RejectedQuestion asks for messages that could not be read, before one of them.
type RejectedQuestion struct {
	Before uint64
	Limit  int
}

// RejectedList are such messages, the newest first.
type RejectedList struct {
	Items []Rejected `json:"items"`
	// Next is the Before of the next page; 0 = this is the last.
	Next uint64 `json:"next,omitempty"`
}

// Rejected is one of them.
type Rejected struct {
	// Seq names it.
	Seq      uint64                 `json:"seq"`
	Position notifications.Position `json:"position"`
	Epoch    string                 `json:"epoch"`
	At       time.Time              `json:"at"`
	Subject  string                 `json:"subject"`
	Reason   string                 `json:"reason"`
	ID       string                 `json:"id,omitempty"`
	Bytes    int                    `json:"bytes"`
}

func rejectedLine(r *persistence.Rejected) Rejected {
	return Rejected{r.Seq, r.Position, strconv.FormatUint(r.Epoch, 16), r.At, r.Subject, r.Reason, r.ID, len(r.Data)}
}

func (c *Console) rejected(h *hub.Context, q RejectedQuestion) (RejectedList, error) {
	page, more, err := c.o.Log.Rejected(h.Context(), q.Before, limit(q.Limit))
	if err != nil {
		return RejectedList{}, err
	}
	list := RejectedList{Items: []Rejected{}}
	for i := range page {
		list.Items = append(list.Items, rejectedLine(&page[i]))
	}
	if more && len(page) > 0 {
		list.Next = page[len(page)-1].Seq
	}
	return list, nil
}

// RejectedOneQuestion names one.
type RejectedOneQuestion struct{ Seq uint64 }

// RejectedWhole is one with all that came.
type RejectedWhole struct {
	Rejected

	// Payload is text, or base64 when Binary.
	Payload string `json:"payload"`
	Binary  bool   `json:"binary"`
	// Hub and Recipient are what its subject says; empty = it does not.
	Hub       string              `json:"hub"`
	Recipient string              `json:"recipient"`
	Headers   map[string][]string `json:"headers"`
}

func (c *Console) rejectedOne(h *hub.Context, q RejectedOneQuestion) (RejectedWhole, error) {
	r, err := c.o.Log.RejectedAt(h.Context(), q.Seq)
	if err != nil {
		return RejectedWhole{}, err
	}
	w := RejectedWhole{Rejected: rejectedLine(&r), Headers: r.Headers}
	w.Payload, w.Binary = text(r.Data)
	if of, to, err := r.For(); err == nil {
		w.Hub, w.Recipient = of, to.String()
	}
	return w, nil
}
