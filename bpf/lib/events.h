/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* What people can see afterwards: counters per rule and per reason, and the ring of events. */
#ifndef WEIR_EVENTS_H
#define WEIR_EVENTS_H

#include "maps.h"
#include "packet.h"

/* Plain adds: every CPU has its own stretch of the array. */
WEIR_INLINE void weir_count_rule(struct __sk_buff *skb, weir_u32 slot, weir_u32 action)
{
	const struct weir_slot_meta *meta = bpf_map_lookup_elem(&slot_meta, &slot);
	weir_u32 rule = action & WEIR_ACTION_ID_MASK;
	struct weir_counter *counter;
	weir_u32 index;

	if (!meta || rule >= meta->rule_stride)
		return; /* never into another CPU's stretch */
	index = bpf_get_smp_processor_id() * meta->rule_stride + rule;
	counter = WEIR_SLOT_LOOKUP(rule_counters, slot, &index);
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

/*
 * One record. With no agent the ring is full most of the time: its fill is read first, without
 * the lock that a refused reservation would take on every CPU.
 */
WEIR_STEP int weir_report(struct __sk_buff *skb, const struct weir_packet *packet,
			  const struct weir_judgement *judgement, int direction, int reason)
{
	struct weir_event *event;

	if (!packet || !judgement)
		return 0;
	if (bpf_ringbuf_query(&events, BPF_RB_AVAIL_DATA) > WEIR_EVENTS_BYTES - 2 * sizeof(*event))
		return 0;
	event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);
	if (!event)
		return 0;
	event->time_ns = bpf_ktime_get_ns();
	event->ifindex = skb->ifindex;
	event->group = judgement->group;
	event->identity = judgement->identity;
	event->action = judgement->action;
	event->length = skb->len;
	event->error = judgement->error;
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
