package rest

// explain says what became of an event, for the caller or for another user.
func (h *Handler) explain(c *call) (reply, error) {
	c.asker.User = c.query.Get("user")
	explanation, err := h.o.Archives.Explain(c.Context(), c.asker, c.query.Get("id"))
	return reply{body: explanation}, err
}

// export answers with all that is kept of a user, as a file.
func (h *Handler) export(c *call) (reply, error) {
	all, err := h.o.Archives.Export(c.Context(), c.asker)
	return reply{body: all}.with("Content-Disposition", `attachment; filename="tidings-export.json"`), err
}

// erase deletes all that is kept of a user.
func (h *Handler) erase(c *call) (reply, error) {
	erased, err := h.o.Archives.Erase(c.Context(), c.asker)
	return reply{body: erased}, err
}
