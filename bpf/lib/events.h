/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* What people can see afterwards: counters per rule and per reason, and the ring of events. */
#ifndef WEIR_EVENTS_H
#define WEIR_EVENTS_H

#include "maps.h"
#include "packet.h"

/* Plain adds: every CPU has its own. */
WEIR_INLINE void weir_count_rule(struct __sk_buff *skb, weir_u32 slot, weir_u32 action)
{
	weir_u32 rule = action & WEIR_ACTION_ID_MASK, index = slot * WEIR_RULES_MAX + rule;
	struct weir_counter *counter;

	if (rule >= WEIR_RULES_MAX)
		return; /* never into the other slot's half */
	counter = bpf_map_lookup_elem(&rule_counters, &index);
	if (!counter)
		return;
	counter->packets++;
	counter->bytes += skb->len;
}

WEIR_INLINE void weir_count_drop(struct __sk_buff *skb, int direction, int reason)
{
	weir_u32 index = (weir_u32)reason * 2 + direction;
	struct weir_counter *counter = bpf_map_lookup_elem(&drops, &index);

	if (!counter)
		return;
	counter->packets++;
	counter->bytes += skb->len;
}

/* Behind the reasons' counters: inserts that failed, by errno. */
WEIR_INLINE void weir_count_errno(struct __sk_buff *skb, long error)
{
	weir_u32 number = -error, index;
	struct weir_counter *counter;

	index = WEIR_DROPS_ERRNO + (number < WEIR_ERRNO_COUNT ? number : WEIR_ERRNO_COUNT - 1);
	counter = bpf_map_lookup_elem(&drops, &index);
	if (!counter)
		return;
	counter->packets++;
	counter->bytes += skb->len;
}

/* Whether somebody reads such events now. */
WEIR_INLINE bool weir_is_watched(const struct weir_view *view, weir_u32 kind)
{
	const weir_u32 first = 0;
	const volatile struct weir_monitor *reader = bpf_map_lookup_elem(&monitor, &first);

	return reader && view->now <= reader->until && (reader->kinds & kind) && reader->until;
}

/* Whether this event is one of those that the reader wants to have; counts the others. */
WEIR_INLINE bool weir_is_sampled(const struct weir_view *view, struct weir_monitor_state *state)
{
	const weir_u32 first = 0;
	const volatile struct weir_monitor *reader = bpf_map_lookup_elem(&monitor, &first);
	weir_u32 one_in, per_tick;

	if (!reader)
		return false;
	one_in = reader->one_in;
	per_tick = reader->per_tick;
	if (state->tick != view->now) {
		state->tick = view->now;
		state->made = 0;
	}
	if (per_tick && state->made >= per_tick)
		return false;
	if (one_in > 1 && ++state->seen < one_in)
		return false;
	state->seen = 0;
	state->made++;
	return true;
}

/*
 * One record, if it is wanted. The ring's fill is read first, without the lock that a refused
 * reservation would take on every CPU.
 */
WEIR_STEP int weir_report(struct __sk_buff *skb, const struct weir_view *view, const struct weir_packet *packet,
			  const struct weir_judgement *judgement, int reason)
{
	const weir_u32 first = 0;
	struct weir_monitor_state *state;
	struct weir_event *event;
	int direction;

	if (!view || !packet || !judgement)
		return 0;
	state = bpf_map_lookup_elem(&monitor_state, &first);
	if (!state)
		return 0;
	if (!weir_is_sampled(view, state)) {
		state->suppressed++;
		return 0;
	}
	event = NULL;
	if (bpf_ringbuf_query(&events, BPF_RB_AVAIL_DATA) <= WEIR_EVENTS_BYTES - 2 * sizeof(*event))
		event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);
	if (!event) {
		state->suppressed++;
		return 0;
	}
	direction = packet->direction;
	event->time_ns = bpf_ktime_get_ns();
	event->ifindex = skb->ifindex;
	event->group = judgement->group;
	event->identity = judgement->identity;
	event->action = judgement->action;
	event->length = skb->len;
	event->error = judgement->error;
	event->flags = judgement->flags;
	event->suppressed = state->suppressed;
	state->suppressed = 0;
	event->destination_port_be = packet->port_be;
	event->direction = direction;
	event->reason = reason;
	event->protocol = packet->key.protocol;
	event->family = packet->family;
	if (direction == WEIR_EGRESS) {
		event->source_port_be = packet->icmp ? 0 : packet->key.local_port_be;
		weir_set_ipv6(event->source, packet->key.local);
		weir_set_ipv6(event->destination, packet->key.remote);
	} else {
		event->source_port_be = packet->icmp ? 0 : packet->key.remote_port_be;
		weir_set_ipv6(event->source, packet->key.remote);
		weir_set_ipv6(event->destination, packet->key.local);
	}
	bpf_ringbuf_submit(event, 0);
	return 1;
}

#endif
