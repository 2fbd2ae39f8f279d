package console

import (
	"encoding/json"
	"slices"
	"strings"
	"time"

	"tidings/hub"
)

// Node is a node as it tells of itself.
type Node struct {
	Node    string `json:"node"`
	Version string `json:"version"`
	// Self says that it is the one that was asked.
	Self          bool      `json:"self"`
	Started       time.Time `json:"started"`
	Ready         bool      `json:"ready"`
	Reasons       []string  `json:"reasons"`
	Connections   int64     `json:"connections"`
	Users         int64     `json:"users"`
	Groups        int64     `json:"groups"`
	Position      int64     `json:"position"`
	Lag           int64     `json:"lag"`
	Load          float64   `json:"load"`
	CPU           float64   `json:"cpu"`
	HeapBytes     int64     `json:"heapBytes"`
	RSSBytes      int64     `json:"rssBytes"`
	Goroutines    int64     `json:"goroutines"`
	NATSConnected bool      `json:"natsConnected"`
}

// NodeList are the nodes that have answered.
type NodeList struct {
	Items []Node `json:"items"`
}

// surveyFor is how long nodes may take to answer.
const surveyFor = 300 * time.Millisecond

// nodes asks all nodes. This one is told of in any case.
func (c *Console) nodes(h *hub.Context, _ Nothing) (NodeList, error) {
	self := c.self()
	self.Self = true
	list := NodeList{Items: []Node{self}}
	answers, err := c.o.NATS.Survey(h.Context(), surveyFor)
	if err != nil {
		return list, nil //nolint:nilerr // without NATS there are no others, and the node itself says so
	}
	for _, answer := range answers {
		var other Node
		if json.Unmarshal(answer, &other) == nil && other.Node != self.Node {
			list.Items = append(list.Items, other)
		}
	}
	slices.SortFunc(list.Items, func(a, b Node) int { return strings.Compare(a.Node, b.Node) })
	return list, nil
}

// answer is what other nodes are told.
func (c *Console) answer() ([]byte, error) { return json.Marshal(c.self()) }

func (c *Console) self() Node {
	n := Node{
		Node: c.o.Node, Version: c.o.Version, Started: c.o.Started.UTC(), Reasons: append([]string{}, c.o.Unready()...), // never null
		NATSConnected: c.o.NATS.Connected(),
	}
	n.Ready = len(n.Reasons) == 0
	if s := c.overview.newest(); s != nil {
		n.Connections, n.Users, n.Groups, n.Position, n.Lag = s.Connections, s.Users, s.Groups, s.Position, s.Lag
		n.Load, n.CPU, n.HeapBytes, n.RSSBytes, n.Goroutines = s.Load, s.CPU, s.HeapBytes, s.RSSBytes, s.Goroutines
	}
	return n
}
