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
#include "lib/l4.h"
#include "lib/maps.h"
#include "lib/packet.h"
#include "lib/parse.h"
#include "lib/policy.h"

/* The port that the flow's originator asked for, which is what policy is about. */
WEIR_INLINE weir_u16 weir_originator_port(const struct weir_packet *packet, weir_u32 direction)
{
	if (packet->echo)
		return packet->family == WEIR_IPV4 ? bpf_htons(WEIR_ICMP_ECHO) : bpf_htons(WEIR_ICMPV6_ECHO);
	return direction == WEIR_EGRESS ? packet->key.remote_port_be : packet->key.local_port_be;
}

/* Steps 3 to 7: what the packet is, and whether it may be here at all. */
WEIR_INLINE int weir_read(struct __sk_buff *skb, struct weir_packet *packet, const struct weir_endpoint *endpoint,
			  int direction)
{
	weir_u16 protocol_be = 0;
	int reason;

	if (!packet || !endpoint)
		return WEIR_REASON_NO_SLOT;
	if (skb->len < ETH_HLEN)
		return WEIR_REASON_TRUNCATED;
	if (skb->vlan_present)
		return WEIR_REASON_VLAN;
	/* The frame's own type, not skb->protocol: it is what the other end of a veth reads. */
	if (!WEIR_READ(skb, offsetof(struct ethhdr, h_proto), &protocol_be))
		return WEIR_REASON_TRUNCATED;
	switch (protocol_be) {
	case bpf_htons(ETH_P_IP):
		reason = weir_parse_ipv4(skb, packet, direction);
		break;
	case bpf_htons(ETH_P_IPV6):
		reason = weir_parse_ipv6(skb, packet, direction);
		break;
	case bpf_htons(ETH_P_ARP):
		reason = direction == WEIR_EGRESS && !(endpoint->flags & WEIR_ENDPOINT_HOST)
				 ? weir_check_arp(skb, endpoint)
				 : WEIR_REASON_NONE;
		return reason ? reason : WEIR_PASSES;
	case bpf_htons(ETH_P_8021Q):
	case bpf_htons(ETH_P_8021AD):
		return WEIR_REASON_VLAN;
	default:
		return WEIR_REASON_UNKNOWN_ETHERTYPE;
	}
	if (reason)
		return reason;
	weir_classify_icmp(skb, packet);
	reason = weir_check_addresses(packet, endpoint, direction);
	if (reason)
		return reason;
	reason = weir_parse_l4(skb, packet, direction);
	if (reason)
		return reason;
	if (packet->link_control) {
		reason = weir_check_link_control(skb, packet, endpoint, direction);
		return reason ? reason : WEIR_PASSES;
	}
	return WEIR_REASON_NONE;
}

WEIR_STEP int weir_read_egress(struct __sk_buff *skb, struct weir_packet *packet, const struct weir_endpoint *endpoint)
{
	return weir_read(skb, packet, endpoint, WEIR_EGRESS);
}

WEIR_STEP int weir_read_ingress(struct __sk_buff *skb, struct weir_packet *packet, const struct weir_endpoint *endpoint)
{
	return weir_read(skb, packet, endpoint, WEIR_INGRESS);
}

/* Steps 8 and 9: the flow, and where it is new or stale the policy. */
WEIR_INLINE int weir_decide(struct __sk_buff *skb, const struct weir_view *view, const struct weir_endpoint *endpoint,
			    struct weir_packet *packet, int direction, struct weir_judgement *judgement)
{
	bool tracked = (weir_options & WEIR_OPTION_CONNTRACK) && weir_tracked(packet);
	weir_u32 revision = view->revision, now = 0, key_check = 0;
	struct weir_conntrack *entry = NULL;
	struct weir_flow flow = {};
	bool young = false, replace = false;
	int reason;

	if (tracked) {
		packet->key.ifindex = skb->ifindex;
		now = weir_now();
		key_check = weir_key_check(&packet->key);
		entry = bpf_map_lookup_elem(&conntrack, &packet->key);
		if (entry && (!weir_read_flow(entry, key_check, now, &flow) || !weir_rides(&flow, packet, direction)))
			entry = NULL;
		if (!entry) {
			entry = bpf_map_lookup_elem(&conntrack_new, &packet->key);
			if (entry) {
				bool alive = weir_read_flow(entry, key_check, now, &flow);

				young = true;
				/* A dead entry makes room; so does a live one for a flow the other way round. */
				replace = !alive || packet->opens;
				if (!alive || !weir_rides(&flow, packet, direction))
					entry = NULL;
			}
		}
	} else if ((weir_options & WEIR_OPTION_CONNTRACK) && weir_is_icmp_error(packet)) {
		if (weir_related(skb, view, endpoint, packet, direction))
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
			if (direction == WEIR_INGRESS && !skb->ingress_ifindex &&
			    !(endpoint->flags & WEIR_ENDPOINT_HOST))
				judgement->peer_class = WEIR_PEER_HOST;
		}
		reason = weir_judge(view, endpoint, packet, judgement);
		if (reason) {
			if (entry && young)
				bpf_map_delete_elem(&conntrack_new, &packet->key);
			else if (entry)
				bpf_map_delete_elem(&conntrack, &packet->key);
			if (reason == WEIR_REASON_POLICY_DENY || reason == WEIR_REASON_POLICY_DEFAULT_DENY)
				weir_count_rule(skb, view->slot, judgement->action);
			return reason;
		}
		if (entry) {
			entry->revision = revision;
			entry->action = judgement->action;
		} else if (tracked && !packet->echo_reply) {
			judgement->error = weir_insert(skb, packet, direction, judgement, key_check, revision, now, replace);
		}
		if ((weir_options & WEIR_OPTION_ALLOW_EVENTS) && !judgement->error)
			weir_report(skb, packet, judgement, direction, WEIR_REASON_NONE);
	}

	weir_count_rule(skb, view->slot, judgement->action);
	if (judgement->error)
		return WEIR_REASON_CONNTRACK_INSERT;
	if (entry) {
		weir_touch(skb, entry, &flow, packet, direction, now);
		if (young && flow.direction == direction && (flow.flags & WEIR_CT_REPLY_SEEN))
			weir_promote(&packet->key, entry);
	}
	return WEIR_REASON_NONE;
}

WEIR_INLINE int weir_run(struct __sk_buff *skb, int direction)
{
	const weir_u32 first = 0;
	const volatile struct weir_control *committed = bpf_map_lookup_elem(&control, &first);
	const struct weir_endpoint *endpoint;
	struct weir_judgement judgement = {};
	struct weir_packet packet = {};
	struct weir_view view = {};
	weir_u32 ifindex = skb->ifindex;
	void *inner;
	int reason = WEIR_REASON_NO_SLOT;

	if (committed)
		view.revision = committed->word & ((1ull << WEIR_REVISION_BITS) - 1);
	if (!view.revision)
		return TC_ACT_UNSPEC;
	view.slot = view.revision & (WEIR_SLOT_COUNT - 1);
	inner = bpf_map_lookup_elem(&endpoints, &view.slot);
	if (inner) {
		endpoint = bpf_map_lookup_elem(inner, &ifindex);
		if (!endpoint)
			return TC_ACT_UNSPEC;
		if (direction == WEIR_EGRESS)
			reason = weir_read_egress(skb, &packet, endpoint);
		else
			reason = weir_read_ingress(skb, &packet, endpoint);
		if (reason == WEIR_PASSES)
			return TC_ACT_UNSPEC;
		if (reason == WEIR_REASON_NONE)
			reason = weir_decide(skb, &view, endpoint, &packet, direction, &judgement);
	}
	if (reason == WEIR_REASON_NONE)
		return TC_ACT_UNSPEC;
	weir_count_drop(skb, direction, reason);
	if ((weir_options & WEIR_OPTION_DROP_EVENTS) && reason != WEIR_REASON_NOT_FOR_ENDPOINT)
		weir_report(skb, &packet, &judgement, direction, reason);
	return TC_ACT_SHOT;
}

SEC("tc")
int weir_from_endpoint(struct __sk_buff *skb)
{
	return weir_run(skb, WEIR_EGRESS);
}

SEC("tc")
int weir_to_endpoint(struct __sk_buff *skb)
{
	return weir_run(skb, WEIR_INGRESS);
}

char weir_license[] SEC("license") = "Dual BSD/GPL";
