// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/*
 * The datapath: one program per direction of an endpoint's host-side interface. The walk and
 * its order are ARCHITECTURE.md, "The packet walk"; the emulator implements the same list.
 */
#include <linux/bpf.h>
#include <linux/pkt_cls.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "lib/conntrack.h"
#include "lib/events.h"
#include "lib/fragments.h"
#include "lib/l4.h"
#include "lib/maps.h"
#include "lib/packet.h"
#include "lib/parse.h"
#include "lib/plain.h"
#include "lib/policy.h"
#include "lib/tunnel.h"

/* The port that the flow's originator asked for, which is what policy is about. */
WEIR_INLINE weir_u16 weir_originator_port(const struct weir_packet *packet, weir_u32 direction)
{
	if (packet->echo)
		return packet->family == WEIR_IPV4 ? bpf_htons(WEIR_ICMP_ECHO) : bpf_htons(WEIR_ICMPV6_ECHO);
	return direction == WEIR_EGRESS ? packet->key.remote_port_be : packet->key.local_port_be;
}

/* The end of step 7, once the headers are read: what passes below policy, and the addresses. */
WEIR_INLINE int weir_accept(struct __sk_buff *skb, struct weir_packet *packet, const struct weir_endpoint *endpoint,
			    int direction)
{
	int reason;

	if (weir_is_dhcp(packet, endpoint, direction))
		return WEIR_PASSES;
	reason = weir_check_addresses(packet, endpoint, direction);
	if (reason || !packet->link_control)
		return reason;
	reason = weir_check_link_control(skb, packet, endpoint, direction);
	return reason ? reason : WEIR_PASSES;
}

/* Steps 3 to 7: what the packet is, and whether it may be here at all. */
WEIR_INLINE int weir_read(struct __sk_buff *skb, const struct weir_view *view, struct weir_packet *packet,
			  const struct weir_endpoint *endpoint, struct weir_judgement *judgement, int direction, int link)
{
	weir_u16 type_be = skb->protocol;
	int reason;

	if (!view || !packet || !endpoint || !judgement)
		return WEIR_REASON_NO_SLOT;
	packet->direction = direction;
	packet->l3 = 0;
	if (link == WEIR_LINK_ETHERNET) {
		if (skb->len < ETH_HLEN)
			return WEIR_REASON_TRUNCATED;
		packet->l3 = ETH_HLEN;
		/* The frame's own type, not skb->protocol: it is what the other end of a veth reads. */
		if (!WEIR_READ(skb, offsetof(struct ethhdr, h_proto), &type_be))
			return WEIR_REASON_TRUNCATED;
	}
	reason = weir_check_vlan(skb, packet, &type_be);
	if (reason)
		return reason == WEIR_REASON_VLAN && weir_is_host(endpoint) ? WEIR_PASSES : reason;
	switch (type_be) {
	case bpf_htons(ETH_P_IP):
		reason = weir_parse_ipv4(skb, packet, direction);
		break;
	case bpf_htons(ETH_P_IPV6):
		reason = weir_parse_ipv6(skb, packet, direction);
		break;
	case bpf_htons(ETH_P_ARP):
		reason = direction == WEIR_EGRESS && !weir_is_host(endpoint) ? weir_check_arp(skb, packet, endpoint)
									     : WEIR_REASON_NONE;
		return reason ? reason : WEIR_PASSES;
	default:
		return WEIR_REASON_UNKNOWN_ETHERTYPE;
	}
	if (reason)
		return reason;
	if (weir_is_host(endpoint)) {
		reason = weir_check_host(skb, view, packet, judgement);
		if (reason)
			return reason;
	}
	if (packet->later_fragment)
		return weir_check_addresses(packet, endpoint, direction);
	reason = weir_parse_l4(skb, packet, direction);
	if (reason)
		return reason;
	return weir_accept(skb, packet, endpoint, direction);
}

#define WEIR_READ_STEP(name, direction, link)                                                              \
	WEIR_STEP int name(struct __sk_buff *skb, const struct weir_view *view, struct weir_packet *packet, \
			   const struct weir_endpoint *endpoint, struct weir_judgement *judgement)         \
	{                                                                                                  \
		return weir_read(skb, view, packet, endpoint, judgement, direction, link);                 \
	}
WEIR_READ_STEP(weir_read_egress, WEIR_EGRESS, WEIR_LINK_ETHERNET)
WEIR_READ_STEP(weir_read_ingress, WEIR_INGRESS, WEIR_LINK_ETHERNET)
WEIR_READ_STEP(weir_read_l3_egress, WEIR_EGRESS, WEIR_LINK_NONE)
WEIR_READ_STEP(weir_read_l3_ingress, WEIR_INGRESS, WEIR_LINK_NONE)

/* The same for a packet that weir_read_plain has read. */
WEIR_INLINE int weir_accept_plain(struct __sk_buff *skb, const struct weir_view *view, struct weir_packet *packet,
				  const struct weir_endpoint *endpoint, struct weir_judgement *judgement, int direction)
{
	int reason;

	if (weir_is_host(endpoint)) {
		reason = weir_check_host(skb, view, packet, judgement);
		if (reason)
			return reason;
	}
	return weir_accept(skb, packet, endpoint, direction);
}

/*
 * The packet's entry in either table, and what it says. `missed`: not established under this key, and `fresh` is what
 * the table of new flows has for it.
 */
WEIR_INLINE struct weir_conntrack *weir_find_flow(struct __sk_buff *skb, const struct weir_view *view,
						  const struct weir_endpoint *endpoint, struct weir_packet *packet,
						  int direction, struct weir_judgement *judgement, bool missed,
						  struct weir_conntrack *fresh, struct weir_flow_key *key,
						  struct weir_flow *flow, bool *young)
{
	struct weir_conntrack *entry;
	bool alive;

	if (!missed) {
		packet->key.interface = weir_flow_interface(skb, endpoint);
		weir_make_key(&packet->key, packet->family, key);
		entry = weir_find_established(packet->family, key);
		if (entry && weir_read_flow(entry, key->check, view->now, flow) && weir_rides(flow, packet, direction))
			return entry;
		fresh = weir_find_new(packet->family, key);
	}
	if (!fresh)
		return NULL;
	*young = true;
	alive = weir_read_flow(fresh, key->check, view->now, flow);
	/* A dead entry makes room; so does a live one for a flow the other way round. */
	judgement->replace = !alive || packet->opens;
	return alive && weir_rides(flow, packet, direction) ? fresh : NULL;
}

/*
 * Steps 8 and 9: the flow, and where it is new or stale the policy. What opens a flow is judged before anybody looks
 * for its entry: it is no flow's packet yet, and a flood of what policy refuses costs less.
 */
WEIR_INLINE int weir_decide(struct __sk_buff *skb, const struct weir_view *view, const struct weir_endpoint *endpoint,
			    struct weir_packet *packet, int direction, struct weir_judgement *judgement, bool missed,
			    struct weir_conntrack *fresh, struct weir_flow_key *key)
{
	bool tracked = (weir_options & WEIR_OPTION_CONNTRACK) && weir_tracked(packet);
	weir_u32 revision = view->revision;
	struct weir_conntrack *entry = NULL;
	struct weir_flow flow = {};
	bool young = false;
	int reason;

	if (tracked && !packet->opens) {
		entry = weir_find_flow(skb, view, endpoint, packet, direction, judgement, missed, fresh, key, &flow,
				       &young);
	} else if ((weir_options & WEIR_OPTION_CONNTRACK) && weir_is_icmp_error(packet)) {
		if (weir_related(skb, view, endpoint, packet))
			return WEIR_REASON_NONE;
	}

	if (entry && flow.revision == revision) {
		judgement->action = flow.action;
	} else {
		if (entry) {
			judgement->direction = flow.direction;
			judgement->peer_class = flow.peer_class;
			judgement->port_be = weir_originator_port(packet, flow.direction);
		} else {
			judgement->direction = direction;
			judgement->port_be = packet->port_be;
			if (direction == WEIR_INGRESS && !skb->ingress_ifindex && !weir_is_host(endpoint))
				judgement->peer_class = WEIR_PEER_HOST;
		}
		reason = weir_judge(view, endpoint, packet, judgement);
		if (weir_is_audited(view, endpoint, judgement, reason)) {
			judgement->flags |= WEIR_EVENT_AUDIT;
			if (weir_is_watched(view, WEIR_EVENT_DROPS))
				weir_report(skb, view, packet, judgement, reason);
			reason = WEIR_REASON_NONE;
		}
		if (reason) {
			if (entry && young)
				weir_forget_new(packet->family, key);
			else if (entry)
				weir_forget_established(packet->family, key);
			if (reason == WEIR_REASON_POLICY_DENY || reason == WEIR_REASON_POLICY_DEFAULT_DENY)
				weir_count_rule(skb, view->slot, judgement->action);
			return reason;
		}
		if (tracked && packet->opens) {
			entry = weir_find_flow(skb, view, endpoint, packet, direction, judgement, false, NULL, key,
					       &flow, &young);
			if (entry)
				entry->peer_class = judgement->peer_class;
		}
		if (entry) {
			entry->revision = revision;
			entry->action = judgement->action;
		} else if (tracked && !packet->echo_reply) {
			judgement->error = weir_insert(skb, view, packet, judgement, key);
		}
		if (!judgement->error && !judgement->flags && weir_is_watched(view, WEIR_EVENT_ALLOWS))
			weir_report(skb, view, packet, judgement, WEIR_REASON_NONE);
	}

	weir_count_rule(skb, view->slot, judgement->action);
	if (judgement->error)
		return WEIR_REASON_CONNTRACK_INSERT;
	if (entry) {
		weir_touch(skb, entry, &flow, packet, direction, view->now, judgement->encrypted);
		if (young && flow.direction == direction && (flow.flags & WEIR_CT_REPLY_SEEN))
			weir_promote(packet->family, key, entry);
	}
	if (packet->first_fragment)
		weir_record_fragment(skb, view, endpoint, packet, judgement->action);
	return WEIR_REASON_NONE;
}

/* The revision in force: past its time to be confirmed, the one that would follow it, which has the other slot. */
WEIR_INLINE weir_u64 weir_revision_in_force(const volatile struct weir_control *committed, weir_u64 word, weir_u32 now)
{
	weir_u64 revision = word & ((1ull << WEIR_REVISION_BITS) - 1), confirm = committed->confirm;

	if (confirm && (weir_u32)(confirm >> WEIR_CONFIRM_REVISION_SHIFT) == (weir_u32)revision &&
	    now > (weir_u32)confirm)
		revision++;
	return revision;
}

WEIR_INLINE int weir_run(struct __sk_buff *skb, int direction, int link)
{
	const weir_u32 first = 0;
	const volatile struct weir_control *committed = bpf_map_lookup_elem(&control, &first);
	const struct weir_endpoint *endpoint;
	weir_u32 now, slot, ifindex, action;
	struct weir_flow_key key;
	struct weir_plain plain;
	weir_u64 word, revision;
	struct weir_conntrack *fresh = NULL;
	bool missed = false;
	void *inner;
	int reason;

	if (!committed)
		return TC_ACT_UNSPEC;
	word = committed->word;
	now = weir_now();
	revision = weir_revision_in_force(committed, word, now);
	if (!revision)
		return TC_ACT_UNSPEC;
	slot = revision & (WEIR_SLOT_COUNT - 1);
	weir_read_plain(skb, &plain, &key, direction, link);
	if (plain.family && (weir_options & WEIR_OPTION_CONNTRACK) && !weir_opens(&plain)) {
		struct weir_conntrack *entry = weir_find_established(plain.family, &key);

		missed = !entry;
		if (missed)
			fresh = weir_find_new(plain.family, &key);
		if (entry ? weir_ride_plain(skb, entry, &plain, &key, revision, now, direction, false, committed, &action)
			  : fresh && weir_ride_plain(skb, fresh, &plain, &key, revision, now, direction, true, committed,
						     &action)) {
			weir_count_rule(skb, slot, action);
			return TC_ACT_UNSPEC;
		}
	}

	struct weir_view view = { .revision = revision, .slot = slot, .now = now,
				  .audit = word >> WEIR_CONTROL_AUDIT_BIT & 1,
				  .tunnels = { committed->tunnels[0], committed->tunnels[1] } };
	struct weir_judgement judgement = {};
	struct weir_packet packet = { .direction = direction };

	reason = WEIR_REASON_NO_SLOT;
	inner = bpf_map_lookup_elem(&endpoints, &slot);
	if (inner) {
		ifindex = skb->ifindex;
		endpoint = bpf_map_lookup_elem(inner, &ifindex);
		if (!endpoint)
			return TC_ACT_UNSPEC;
		if (plain.family) {
			weir_expand_plain(&plain, &key, &packet);
			weir_clear_key_tail(plain.family, &key);
			reason = weir_accept_plain(skb, &view, &packet, endpoint, &judgement, direction);
		} else {
			__builtin_memset(&key, 0, sizeof(key));
			if (link == WEIR_LINK_NONE)
				reason = direction == WEIR_EGRESS
						 ? weir_read_l3_egress(skb, &view, &packet, endpoint, &judgement)
						 : weir_read_l3_ingress(skb, &view, &packet, endpoint, &judgement);
			else
				reason = direction == WEIR_EGRESS
						 ? weir_read_egress(skb, &view, &packet, endpoint, &judgement)
						 : weir_read_ingress(skb, &view, &packet, endpoint, &judgement);
		}
		if (reason == WEIR_PASSES)
			return TC_ACT_UNSPEC;
		if (reason == WEIR_REASON_NONE && view.tunnels[0])
			reason = weir_check_tunnel(skb, &view, endpoint, &packet, &judgement);
		if (reason == WEIR_REASON_NONE && packet.later_fragment)
			reason = weir_follow_fragment(skb, &view, endpoint, &packet);
		else if (reason == WEIR_REASON_NONE)
			reason = weir_decide(skb, &view, endpoint, &packet, direction, &judgement,
					     missed && !weir_is_host(endpoint), fresh, &key);
	}
	if (reason == WEIR_REASON_NONE)
		return TC_ACT_UNSPEC;
	weir_count_drop(skb, direction, reason);
	if (reason != WEIR_REASON_NOT_FOR_ENDPOINT && weir_is_watched(&view, WEIR_EVENT_DROPS))
		weir_report(skb, &view, &packet, &judgement, reason);
	return TC_ACT_SHOT;
}

/* On an endpoint's host-side interface, or a device of the node's, as the endpoint or the node sees it. */
SEC("tc")
int weir_from_endpoint(struct __sk_buff *skb)
{
	return weir_run(skb, WEIR_EGRESS, WEIR_LINK_ETHERNET);
}

SEC("tc")
int weir_to_endpoint(struct __sk_buff *skb)
{
	return weir_run(skb, WEIR_INGRESS, WEIR_LINK_ETHERNET);
}

/* The same for devices without a link-layer header. */
SEC("tc")
int weir_from_endpoint_l3(struct __sk_buff *skb)
{
	return weir_run(skb, WEIR_EGRESS, WEIR_LINK_NONE);
}

SEC("tc")
int weir_to_endpoint_l3(struct __sk_buff *skb)
{
	return weir_run(skb, WEIR_INGRESS, WEIR_LINK_NONE);
}

/* The clock of every timeout and deadline, for the loader's test run: user space cannot read it. */
SEC("tc")
int weir_read_tick(struct __sk_buff *skb)
{
	return skb ? weir_now() : 0;
}

char weir_license[] SEC("license") = "Dual BSD/GPL";
