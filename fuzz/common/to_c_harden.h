/* SPDX-License-Identifier: MIT */
/* ---- bad frames, handles, history (after to_c_runtime.h) ---- */

HELPER void mark_bad_of(const struct handle *h, size_t at, size_t frame)
{
	const struct block *b = h->nr ? &h->blocks[at % h->nr] : NULL;

	if (b)
		CALL(pfa_mark_bad(pfa, b->pfn + frame % ((size_t)1 << b->order)));
}

/* Is the token's block still what it was? What a split or a free did to it the library knows better: it is asked. */
HELPER int is_stale(const struct pfa_handle *t)
{
	struct pfa_handle now;

	return !is_block(t->pfn, t->order) || pfa_handle_of(pfa, t->pfn, t->order, &now) != PFA_OK ||
	       now.generation != t->generation;
}

HELPER void alloc_checked(struct handle *h, unsigned order, uint32_t flags)
{
	struct pfa_handle t = { 0 };

	CALL(pfa_alloc_checked(pfa, order, flags, &t));
	if (out.code != PFA_OK)
		return;
	append(h, t.pfn, order);
	h->token = t;
	h->has_token = 1;
}

HELPER void handle_of(struct handle *h, size_t at)
{
	struct pfa_handle t = { 0 };

	if (h->nr == 0)
		return;
	CALL(pfa_handle_of(pfa, h->blocks[at % h->nr].pfn, h->blocks[at % h->nr].order, &t));
	out.pfn = h->blocks[at % h->nr].pfn;
	out.has_pfn = 1;
	if (out.code != PFA_OK)
		return;
	h->token = t;
	h->has_token = 1;
}

HELPER void handle_of_pfn(pfa_pfn pfn, unsigned order)
{
	struct pfa_handle t;

	if (!is_block(pfn, order) || !(cfg.flags & PFA_CONFIG_GENERATIONS))
		CALL(pfa_handle_of(pfa, pfn, order, &t));
}

HELPER void free_checked(struct handle *h)
{
	if (!(cfg.flags & PFA_CONFIG_GENERATIONS)) {
		free_blocks(h, 0, h->nr, 0);
		return;
	}
	for (size_t i = 0; i < h->nr; i++) {
		struct pfa_handle t = { 0 };

		CALL(pfa_handle_of(pfa, h->blocks[i].pfn, h->blocks[i].order, &t));
		CALL(pfa_free_checked(pfa, &t));
		out.pfn = t.pfn;
		out.has_pfn = 1;
	}
	forget(h, 0, h->nr);
}

/* Where nobody owns the frame now. */
HELPER void poke(const struct handle *h, size_t byte)
{
	struct pfa_frame_info f;
	pfa_pfn pfn = h->first.pfn + byte % ((size_t)1 << h->first.order);
	void *ptr;

	if (!had(h) || cfg.poison == PFA_POISON_NONE || pfa_frame_info(pfa, pfn, &f) != PFA_OK || f.state == PFA_FRAME_HEAD ||
	    f.state == PFA_FRAME_BAD || pfa_ptr(pfa, pfn, &ptr) != PFA_OK)
		return;
	((unsigned char *)ptr)[byte * 37 % ((size_t)1 << cfg.frame_shift)] ^= 0x5A;
	out.code = PFA_OK;
	out.calls = 1;
}

HELPER void free_stale(const struct handle *h)
{
	if (h->has_token && is_stale(&h->token))
		CALL(pfa_free_checked(pfa, &h->token));
}

HELPER void free_forged(const struct handle *h, size_t at, unsigned order, unsigned skew)
{
	struct pfa_handle t = { 0 };

	if (h->nr == 0)
		return;
	at %= h->nr;
	CALL(pfa_handle_of(pfa, h->blocks[at].pfn, h->blocks[at].order, &t));
	if (out.code != PFA_OK)
		t = (struct pfa_handle){ h->blocks[at].pfn, 0, h->blocks[at].order };
	t.pfn += skew & 7;
	t.order ^= order;
	t.generation += skew >> 3;
	if ((skew & 7) && is_block(t.pfn, t.order))
		return;
	if (skew || order || out.code != PFA_OK)
		CALL(pfa_free_checked(pfa, &t));
}

HELPER void history(pfa_pfn pfn, size_t max)
{
	struct pfa_event events[64];
	char text[128];
	size_t nr = 0;

	CALL(pfa_history(pfa, pfn, events, max, &nr));
	for (size_t i = 0; i < nr; i++) {
		pfa_event_text(&events[i], text, sizeof(text));
		printf("    # %s\n", text);
	}
	pfa_frame_text(pfa, pfn, text, sizeof(text));
	printf("    # %s\n", text);
}

HELPER void trace(size_t number, size_t max)
{
	uintptr_t at[64];
	size_t nr = 0;

	CALL(pfa_trace(pfa, number, at, max, &nr));
	printf("    # %zu addresses\n", nr);
}

HELPER void repair(unsigned flags, int told)
{
	struct pfa_repair did = { 0 };

	CALL(pfa_repair(pfa, flags, told ? &did : NULL));
	printf("    # %zu zones\n", did.zones);
}
