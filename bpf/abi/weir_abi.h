/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * The one definition of every byte that weir's programs, loader and emulator share.
 *
 * No includes, fixed-width types, no bit-fields, no implicit padding: every size and
 * offset is asserted below. Fields named `*_be` are in network byte order; all other
 * integers are in host byte order. Addresses are byte arrays in network order, except
 * where they are a hash key of exactly four bytes, which is the same thing in memory.
 */
#ifndef WEIR_ABI_H
#define WEIR_ABI_H

typedef __UINT8_TYPE__ weir_u8;
typedef __UINT16_TYPE__ weir_u16;
typedef __UINT32_TYPE__ weir_u32;
typedef __UINT64_TYPE__ weir_u64;
typedef __INT32_TYPE__ weir_s32;

/* Changes whenever a layout or the meaning of a field changes. */
enum { WEIR_ABI_VERSION = 4 };

/* Direction as the endpoint sees it. Also the index of a program and of a counter. */
enum weir_direction {
	WEIR_EGRESS = 0,  /* from the endpoint: ingress hook of its host-side interface */
	WEIR_INGRESS = 1, /* to the endpoint: egress hook of its host-side interface */
};

/*
 * control[0]: policy revision in the low 56 bits, flags above. The low bit of the revision
 * is the active slot. Revision 0 means that no policy is in force: programs pass.
 *
 * `confirm` is written before `word`: 0, or the low 32 bits of a revision above a tick. After
 * that tick programs read that revision as the next one, which is the other slot's.
 *
 * `tunnels` are the interfaces whose traffic is encrypted: what is marked as WEIR_PEER_ENCRYPTED comes
 * and goes through one of them. The first is 0 where nothing is to be encrypted, WEIR_TUNNEL_ABSENT where the device is missing.
 */
struct weir_control {
	weir_u64 word; /* revision, and flags above it */
	weir_u64 confirm; /* 0, or a revision and the tick until which it holds unconfirmed */
	weir_u32 tunnels[2]; /* interface indexes */
};
enum { WEIR_TUNNEL_COUNT = 2 };
#define WEIR_TUNNEL_ABSENT 0xffffffffu /* no interface has it */
enum {
	WEIR_REVISION_BITS = 56,
	WEIR_SLOT_COUNT = 2,
	WEIR_CONTROL_AUDIT_BIT = 56, /* of `word`: policy drops are reported and pass */
	WEIR_CONFIRM_REVISION_SHIFT = 32,
};

/* Peer groups with a fixed number. Group 0 is a row's default, never a peer. */
enum weir_group {
	WEIR_GROUP_DEFAULT = 0,
	WEIR_GROUP_HOST = 1,         /* this node; for ingress: not forwarded (ingress_ifindex 0) */
	WEIR_GROUP_MASQUERADED = 2,  /* a node-owned source on a forwarded packet */
	WEIR_GROUP_UNKNOWN_POD = 3,  /* inside a pod network, not in the inventory */
	WEIR_GROUP_MULTICAST = 4,    /* multicast and broadcast destinations */
	WEIR_GROUP_WORLD_IPV4 = 5,
	WEIR_GROUP_WORLD_IPV6 = 6,
	WEIR_GROUP_FIRST_COMPILED = 7,
};

/*
 * An action is one word: its kind in the top two bits, an id below. TABLE names a verdict
 * table; the others name the rule attribution that decided (0: no rule). A deny with AUDIT is
 * what policies in audit mode would do: it is reported and passes.
 */
enum weir_action_kind {
	WEIR_ACTION_TABLE = 0,
	WEIR_ACTION_ALLOW = 1,
	WEIR_ACTION_DENY = 2,
	WEIR_ACTION_DEFAULT_DENY = 3,
};
enum {
	WEIR_ACTION_KIND_SHIFT = 30,
	WEIR_ACTION_AUDIT = 0x20000000,
	WEIR_ACTION_ID_MASK = 0x1fffffff,
};

/*
 * endpoints: interface index (weir_u32) -> this. Rows are indices into `peers`. Under a host
 * firewall the node has a record for each of its devices, and one under index 0 for what local
 * endpoints and the node say to each other.
 */
struct weir_endpoint {
	weir_u32 id; /* dense within an image, from 1 */
	weir_u32 egress_row; /* first word in `peers` for what it sends */
	weir_u32 ingress_row; /* likewise for what it gets */
	weir_u32 flags; /* enum weir_endpoint_flag */
	weir_u8 ipv4[4]; /* zeros without HAS_IPV4 */
	weir_u8 ipv6[16]; /* zeros without HAS_IPV6 */
};
enum weir_endpoint_flag {
	WEIR_ENDPOINT_HAS_IPV4 = 1,
	WEIR_ENDPOINT_HAS_IPV6 = 2,
	WEIR_ENDPOINT_HOST = 4, /* the node itself: any of its addresses, peers as they are */
	WEIR_ENDPOINT_AUDIT = 8, /* policy drops are reported and pass */
};

/* ipcache4/6 and cidrs4/6 value. */
struct weir_peer {
	weir_u32 group; /* enum weir_group, or one that the compiler numbered */
	weir_u32 identity; /* index into the image's identity names; for people only */
	weir_u32 flags;    /* enum weir_peer_flag */
};
enum weir_peer_flag {
	WEIR_PEER_NODE = 1, /* an address of a node: no overlay traffic may go there */
	WEIR_PEER_OWN_NODE = 2, /* of this node: a forwarded packet has only borrowed it */
	WEIR_PEER_ENCRYPTED = 4, /* on another node, and reached through a tunnel or not at all */
};

/* ipcache4 and ipcache6 keys. */
struct weir_address4 {
	weir_u8 bytes[4]; /* the address */
};
struct weir_address6 {
	weir_u8 bytes[16]; /* the address */
};

/* cidrs4 and cidrs6 keys (LPM). Host bits are zero. */
struct weir_cidr4 {
	weir_u32 prefix_length; /* 0...32 */
	weir_u8 bytes[4]; /* the address */
};
struct weir_cidr6 {
	weir_u32 prefix_length; /* 0...128 */
	weir_u8 bytes[16]; /* the address */
};

/*
 * peers: array of weir_actions; the action for row + group is word (row + group) % 64 of element
 * (row + group) / 64. That for `row + 0` holds for whatever a verdict table of that row leaves open; it
 * is never TABLE. An array pads every element to eight bytes, so one word each would take twice the room.
 */
enum { WEIR_ACTIONS_SHIFT = 6, WEIR_ACTIONS = 1 << WEIR_ACTIONS_SHIFT };
struct weir_actions {
	weir_u32 words[WEIR_ACTIONS]; /* actions */
};

/*
 * verdicts: LPM, this key -> action (weir_u32, never TABLE). For ICMP and ICMPv6 the port is
 * the type. Prefix length 32 is any protocol, 40 any port of a protocol, up to 56 one port.
 */
struct weir_verdict_key {
	weir_u32 prefix_length; /* 32...56 */
	weir_u32 table;         /* from 1 */
	weir_u8 protocol; /* IANA number */
	weir_u8 port_be[2]; /* destination port, or ICMP type */
	weir_u8 zero; /* always */
};
enum {
	WEIR_VERDICT_PREFIX_ANY = 32,
	WEIR_VERDICT_PREFIX_PROTOCOL = 40,
	WEIR_VERDICT_PREFIX_PORT = 56,
};

/*
 * conntrack4/6 and conntrack4/6_new (LRU hash): a key -> struct weir_conntrack. One key for both
 * directions of a flow: `local` is the endpoint's side. For ICMP echo both ports are the
 * identifier. `owner` is the interface index << 8 | the protocol: the interface stands for the
 * endpoint, because ids change with the image, and a reused pod address comes with a new
 * interface. It is 0 for the node, whatever the device.
 *
 * An IPv4 key ends with the first cache line of the kernel's element; the value is the second.
 */
struct weir_flow4 {
	weir_u32 owner; /* interface index << 8 | protocol */
	weir_u8 remote[4]; /* the peer */
	weir_u8 local[4]; /* the endpoint */
	weir_u16 remote_port_be; /* or echo identifier */
	weir_u16 local_port_be; /* or echo identifier */
};
struct weir_flow6 {
	weir_u32 owner; /* interface index << 8 | protocol */
	weir_u16 remote_port_be; /* or echo identifier */
	weir_u16 local_port_be; /* or echo identifier */
	weir_u8 remote[16]; /* the peer */
	weir_u8 local[16]; /* the endpoint */
};
enum { WEIR_OWNER_INTERFACE_SHIFT = 8, WEIR_INTERFACE_MAX = 0xffffff };
struct weir_conntrack {
	weir_u64 packets[2]; /* by enum weir_direction */
	weir_u64 bytes[2]; /* likewise */
	weir_u32 key_check; /* hash of the key: a node may be recycled under a reader */
	weir_u32 revision;  /* low 32 bits of the policy revision that allowed it */
	weir_u32 action; /* that let the flow pass */
	weir_u32 expires;   /* in ticks: jiffies >> the object's `weir_tick_shift`, about a second */
	weir_u32 created;   /* likewise */
	weir_u8 direction;  /* enum weir_direction of the originator's packets */
	weir_u8 flags;      /* enum weir_conntrack_flag */
	weir_u8 peer_class; /* enum weir_peer_class at creation, for judging again */
	weir_u8 zero[9]; /* always */
};
enum weir_conntrack_flag {
	WEIR_CT_REPLY_SEEN = 1,
	WEIR_CT_CLOSING = 2,   /* RST, or FIN seen */
	WEIR_CT_MIDSTREAM = 4, /* TCP, not created by a SYN: its reply direction is judged by itself */
	WEIR_CT_ENCRYPTED = 8, /* its peer is WEIR_PEER_ENCRYPTED */
};
enum weir_peer_class {
	WEIR_PEER_BY_ADDRESS = 0,
	WEIR_PEER_HOST = 1,
	WEIR_PEER_MASQUERADED = 2,
	WEIR_PEER_FORWARDED = 3, /* leaves a node's device under the node's address: not the node's own */
};
enum {
	WEIR_TIMEOUT_TCP_NEW = 60, /* all in ticks */
	WEIR_TIMEOUT_TCP = 21600,
	WEIR_TIMEOUT_TCP_CLOSING = 10,
	WEIR_TIMEOUT_NEW = 30,     /* anything else before a reply */
	WEIR_TIMEOUT = 180,        /* anything else after a reply */
	WEIR_TIMEOUT_FRAGMENT = 30,
	WEIR_CONNTRACK4_ENTRIES = 131072,
	WEIR_CONNTRACK4_NEW_ENTRIES = 65536,
	WEIR_CONNTRACK6_ENTRIES = 65536,
	WEIR_CONNTRACK6_NEW_ENTRIES = 32768,
	WEIR_FRAGMENTS_ENTRIES = 8192,
};

/*
 * `key_check` of a key of conntrack or fragments: NH (RFC 4418, 5.2) over its native words with these,
 * an odd last word counted with a zero; the two halves of the sum by exclusive or.
 */
#define WEIR_KEY_CHECK_WORDS                                                                      \
	{ 0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344, 0xa4093822, 0x299f31d0, 0x082efa98, 0xec4e6c89, \
	  0x452821e6, 0x38d01377, 0xbe5466cf, 0x34e90c6c }

/*
 * fragments (LRU hash): a datagram whose first fragment passed. IPv4 addresses are v4-mapped
 * (::ffff:a.b.c.d); such addresses are refused on the wire, so the two families cannot meet. The
 * interface is 0 for the node, whatever the device.
 */
struct weir_fragment_key {
	weir_u32 ifindex; /* the endpoint's interface */
	weir_u8 source[16]; /* the address */
	weir_u8 destination[16]; /* the address */
	weir_u32 id_be;    /* IPv4: in the low 16 bits */
	weir_u8 protocol;  /* 0 in IPv6, where the id is enough */
	weir_u8 direction; /* enum weir_direction */
	weir_u8 zero[2]; /* always */
};
struct weir_fragment {
	weir_u32 key_check; /* hash of the key */
	weir_u32 revision; /* low 32 bits of the policy revision that let the first one pass */
	weir_u32 action; /* that let it pass */
	weir_u32 expires; /* in ticks */
	weir_u32 header_end; /* where in the datagram the L4 header ends: no later fragment begins before */
};

/* Per-rule counters and per-reason drops. */
struct weir_counter {
	weir_u64 packets; /* in all; of a rule since its slot was filled */
	weir_u64 bytes; /* likewise */
};

/* rule_counters: per CPU, index = slot * WEIR_RULES_MAX + rule attribution. */
enum { WEIR_RULES_MAX = 16384 };

/* slot_meta: array of WEIR_SLOT_COUNT. Written last, when the slot is complete. */
struct weir_slot_meta {
	weir_u8 image_digest[32]; /* SHA-256 of the canonical image */
	weir_u8 node_digest[32];  /* SHA-256 of the node-local part (interfaces, host addresses) */
	weir_u64 generation;      /* of the inventory */
	weir_u32 state;           /* enum weir_slot_state */
	weir_u32 abi_version; /* WEIR_ABI_VERSION of who filled it */
};
enum weir_slot_state {
	WEIR_SLOT_EMPTY = 0,
	WEIR_SLOT_BUILDING = 1,
	WEIR_SLOT_READY = 2,
};

/*
 * Why a packet was dropped. The value indexes `drops`: reason * 2 + direction. Behind the reasons
 * lie failed inserts into conntrack and fragments by errno, the last one for all from there on.
 */
enum weir_reason {
	WEIR_REASON_NONE = 0,
	WEIR_REASON_POLICY_DENY = 1,
	WEIR_REASON_POLICY_DEFAULT_DENY = 2,
	WEIR_REASON_NO_SLOT = 3,             /* the active slot or its endpoint map is missing */
	WEIR_REASON_NO_VERDICT = 4,          /* a lookup that the compiler guarantees missed */
	WEIR_REASON_TRUNCATED = 5,
	WEIR_REASON_UNKNOWN_ETHERTYPE = 6,
	WEIR_REASON_VLAN = 7,
	WEIR_REASON_FRAGMENT = 8,            /* a later one without its first, or over its header; malformed */
	WEIR_REASON_IP_HEADER = 9,           /* malformed: version, header length, total length */
	WEIR_REASON_IPV4_SOURCE_ROUTE = 10,
	WEIR_REASON_IPV6_EXTENSION = 11,     /* malformed, or more than eight */
	WEIR_REASON_IPV6_ROUTING = 12,       /* a routing header with segments left */
	WEIR_REASON_SOURCE_ADDRESS = 13,     /* from a pod, not its own */
	WEIR_REASON_ARP = 14,                /* malformed, or sender not the pod's own */
	WEIR_REASON_NEIGHBOUR_DISCOVERY = 15,/* malformed, hop limit, or target not the pod's own */
	WEIR_REASON_ROUTER_CONTROL = 16,     /* router advertisement or redirect from a pod */
	WEIR_REASON_LINK_LOCAL = 17,
	WEIR_REASON_V4_MAPPED = 18,
	WEIR_REASON_MARTIAN_SOURCE = 19,     /* loopback, multicast or broadcast source */
	WEIR_REASON_OVERLAY = 20,            /* overlay traffic from a pod to a node */
	WEIR_REASON_NOT_FOR_ENDPOINT = 21,   /* to a pod, not its address; no event */
	WEIR_REASON_CONNTRACK_INSERT = 22,   /* allowed, but the flow could not be recorded */
	WEIR_REASON_L4_HEADER = 23,          /* malformed or short L4 header */
	WEIR_REASON_UNENCRYPTED = 24,        /* from or to an encrypted peer, but not through a tunnel */
	WEIR_REASON_COUNT = 25,
};
enum {
	WEIR_DROPS_ERRNO = WEIR_REASON_COUNT * 2,
	WEIR_ERRNO_COUNT = 64,
	WEIR_DROPS_ENTRIES = WEIR_DROPS_ERRNO + WEIR_ERRNO_COUNT,
};

/* One record of the `events` ring buffer. */
struct weir_event {
	weir_u64 time_ns; /* CLOCK_MONOTONIC */
	weir_u32 ifindex; /* the endpoint's interface, or the node's device */
	weir_u32 group; /* the peer's; 0 where policy was not asked */
	weir_u32 identity; /* likewise */
	weir_u32 action; /* 0 where policy was not asked */
	weir_u32 length; /* of the packet, bytes */
	weir_s32 error;  /* negative errno of a failed conntrack insert, else 0 */
	weir_u16 source_port_be; /* 0 where not parsed, and for ICMP */
	weir_u16 destination_port_be; /* ICMP: the type, in network order */
	weir_u8 direction; /* enum weir_direction */
	weir_u8 reason; /* enum weir_reason; NONE for an allow event */
	weir_u8 protocol; /* IANA number */
	weir_u8 family; /* 4, 6 or 0 where not parsed */
	weir_u8 source[16]; /* IPv4 v4-mapped */
	weir_u8 destination[16]; /* likewise */
	weir_u32 flags;      /* enum weir_event_flag */
	weir_u32 suppressed; /* events that this CPU left out since its last record */
};
enum weir_event_flag {
	WEIR_EVENT_AUDIT = 1, /* it passed although `reason` is why it would have been dropped */
};
enum { WEIR_EVENTS_BYTES = 262144 };

/*
 * monitor[0]: who reads events says so here, and until when; without a reader none is made. All
 * zeros is nobody. A torn write costs an event.
 */
struct weir_monitor {
	weir_u32 until;    /* the last tick for which events are made */
	weir_u32 kinds;    /* enum weir_event_kind */
	weir_u32 one_in;   /* of every so many events one is made; 0 and 1: every one */
	weir_u32 per_tick; /* at most so many on each CPU; 0: no limit */
};
enum weir_event_kind {
	WEIR_EVENT_DROPS = 1,  /* and what audit mode lets pass */
	WEIR_EVENT_ALLOWS = 2, /* that policy was asked for */
};
/* monitor_state: per CPU, what `monitor` asks to count. */
struct weir_monitor_state {
	weir_u32 tick; /* that `made` is about */
	weir_u32 made; /* in that tick */
	weir_u32 seen; /* wanted since the last one that was made, for `one_in` */
	weir_u32 suppressed; /* left out since the last record */
};

/* Read-only settings of a loaded object, fixed before the verifier sees it. */
enum weir_option {
	WEIR_OPTION_CONNTRACK = 1,
	WEIR_OPTION_LINK_CONTROL = 2, /* ND and MLD pass below policy; without it they are judged */
	WEIR_OPTION_OVERLAY_GUARD = 4,
	WEIR_OPTION_DHCP = 8, /* endpoints may ask for their address */
	WEIR_OPTION_DEFAULTS = 1 | 2 | 4,
};
/* `weir_tick_shift` where nobody sets it: right for CONFIG_HZ=250. */
enum { WEIR_TICK_SHIFT_DEFAULT = 8 };

#define WEIR_ASSERT_SIZE(type, bytes) _Static_assert(sizeof(type) == (bytes), #type " changed size")
#define WEIR_ASSERT_AT(type, field, offset) \
	_Static_assert(__builtin_offsetof(type, field) == (offset), #type "." #field " moved")

WEIR_ASSERT_SIZE(struct weir_control, 24);
WEIR_ASSERT_AT(struct weir_control, confirm, 8);
WEIR_ASSERT_AT(struct weir_control, tunnels, 16);
WEIR_ASSERT_SIZE(struct weir_endpoint, 36);
WEIR_ASSERT_AT(struct weir_endpoint, egress_row, 4);
WEIR_ASSERT_AT(struct weir_endpoint, ingress_row, 8);
WEIR_ASSERT_AT(struct weir_endpoint, flags, 12);
WEIR_ASSERT_AT(struct weir_endpoint, ipv4, 16);
WEIR_ASSERT_AT(struct weir_endpoint, ipv6, 20);
WEIR_ASSERT_SIZE(struct weir_actions, 256);
WEIR_ASSERT_SIZE(struct weir_peer, 12);
WEIR_ASSERT_AT(struct weir_peer, identity, 4);
WEIR_ASSERT_AT(struct weir_peer, flags, 8);
WEIR_ASSERT_SIZE(struct weir_address4, 4);
WEIR_ASSERT_SIZE(struct weir_address6, 16);
WEIR_ASSERT_SIZE(struct weir_cidr4, 8);
WEIR_ASSERT_AT(struct weir_cidr4, bytes, 4);
WEIR_ASSERT_SIZE(struct weir_cidr6, 20);
WEIR_ASSERT_AT(struct weir_cidr6, bytes, 4);
WEIR_ASSERT_SIZE(struct weir_verdict_key, 12);
WEIR_ASSERT_AT(struct weir_verdict_key, table, 4);
WEIR_ASSERT_AT(struct weir_verdict_key, protocol, 8);
WEIR_ASSERT_AT(struct weir_verdict_key, port_be, 9);
WEIR_ASSERT_AT(struct weir_verdict_key, zero, 11);
WEIR_ASSERT_SIZE(struct weir_flow4, 16);
WEIR_ASSERT_AT(struct weir_flow4, remote, 4);
WEIR_ASSERT_AT(struct weir_flow4, local, 8);
WEIR_ASSERT_AT(struct weir_flow4, remote_port_be, 12);
WEIR_ASSERT_AT(struct weir_flow4, local_port_be, 14);
WEIR_ASSERT_SIZE(struct weir_flow6, 40);
WEIR_ASSERT_AT(struct weir_flow6, remote_port_be, 4);
WEIR_ASSERT_AT(struct weir_flow6, local_port_be, 6);
WEIR_ASSERT_AT(struct weir_flow6, remote, 8);
WEIR_ASSERT_AT(struct weir_flow6, local, 24);
WEIR_ASSERT_SIZE(struct weir_conntrack, 64);
WEIR_ASSERT_AT(struct weir_conntrack, bytes, 16);
WEIR_ASSERT_AT(struct weir_conntrack, key_check, 32);
WEIR_ASSERT_AT(struct weir_conntrack, revision, 36);
WEIR_ASSERT_AT(struct weir_conntrack, action, 40);
WEIR_ASSERT_AT(struct weir_conntrack, expires, 44);
WEIR_ASSERT_AT(struct weir_conntrack, created, 48);
WEIR_ASSERT_AT(struct weir_conntrack, direction, 52);
WEIR_ASSERT_AT(struct weir_conntrack, flags, 53);
WEIR_ASSERT_AT(struct weir_conntrack, peer_class, 54);
WEIR_ASSERT_AT(struct weir_conntrack, zero, 55);
WEIR_ASSERT_SIZE(struct weir_counter, 16);
WEIR_ASSERT_SIZE(struct weir_slot_meta, 80);
WEIR_ASSERT_AT(struct weir_slot_meta, node_digest, 32);
WEIR_ASSERT_AT(struct weir_slot_meta, generation, 64);
WEIR_ASSERT_AT(struct weir_slot_meta, state, 72);
WEIR_ASSERT_AT(struct weir_slot_meta, abi_version, 76);
WEIR_ASSERT_SIZE(struct weir_event, 80);
WEIR_ASSERT_AT(struct weir_event, ifindex, 8);
WEIR_ASSERT_AT(struct weir_event, group, 12);
WEIR_ASSERT_AT(struct weir_event, identity, 16);
WEIR_ASSERT_AT(struct weir_event, action, 20);
WEIR_ASSERT_AT(struct weir_event, length, 24);
WEIR_ASSERT_AT(struct weir_event, error, 28);
WEIR_ASSERT_AT(struct weir_event, source_port_be, 32);
WEIR_ASSERT_AT(struct weir_event, destination_port_be, 34);
WEIR_ASSERT_AT(struct weir_event, direction, 36);
WEIR_ASSERT_AT(struct weir_event, reason, 37);
WEIR_ASSERT_AT(struct weir_event, protocol, 38);
WEIR_ASSERT_AT(struct weir_event, family, 39);
WEIR_ASSERT_AT(struct weir_event, source, 40);
WEIR_ASSERT_AT(struct weir_event, destination, 56);
WEIR_ASSERT_AT(struct weir_event, flags, 72);
WEIR_ASSERT_AT(struct weir_event, suppressed, 76);
WEIR_ASSERT_SIZE(struct weir_monitor, 16);
WEIR_ASSERT_AT(struct weir_monitor, kinds, 4);
WEIR_ASSERT_AT(struct weir_monitor, one_in, 8);
WEIR_ASSERT_AT(struct weir_monitor, per_tick, 12);
WEIR_ASSERT_SIZE(struct weir_monitor_state, 16);
WEIR_ASSERT_AT(struct weir_monitor_state, made, 4);
WEIR_ASSERT_AT(struct weir_monitor_state, seen, 8);
WEIR_ASSERT_AT(struct weir_monitor_state, suppressed, 12);
WEIR_ASSERT_SIZE(struct weir_fragment_key, 44);
WEIR_ASSERT_AT(struct weir_fragment_key, source, 4);
WEIR_ASSERT_AT(struct weir_fragment_key, destination, 20);
WEIR_ASSERT_AT(struct weir_fragment_key, id_be, 36);
WEIR_ASSERT_AT(struct weir_fragment_key, protocol, 40);
WEIR_ASSERT_AT(struct weir_fragment_key, direction, 41);
WEIR_ASSERT_AT(struct weir_fragment_key, zero, 42);
WEIR_ASSERT_SIZE(struct weir_fragment, 20);
WEIR_ASSERT_AT(struct weir_fragment, revision, 4);
WEIR_ASSERT_AT(struct weir_fragment, action, 8);
WEIR_ASSERT_AT(struct weir_fragment, expires, 12);
WEIR_ASSERT_AT(struct weir_fragment, header_end, 16);

#endif
