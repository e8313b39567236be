/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What Swift cannot import from libbpf: option structures with a trailing zero-width
 * bit-field, atomics on a mapping, and constants newer than the build machine's headers.
 *
 * Every function returns zero or a descriptor on success and a negative errno otherwise.
 */
#ifndef WEIR_CLIBBPF_SHIM_H
#define WEIR_CLIBBPF_SHIM_H

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/magic.h>
#include <net/if.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/statfs.h>
#include <unistd.h>

/* linux/bpf.h of 6.6 and later. */
enum {
	WEIR_BPF_TCX_INGRESS = 46,
	WEIR_BPF_TCX_EGRESS = 47,
	WEIR_BPF_F_BEFORE = 1 << 3,
	WEIR_BPF_LINK_TYPE_TCX = 11,
};

/* `btf_fd` below 0: keys and values have no description. */
static inline int weir_map_create_typed(enum bpf_map_type type, const char *name, __u32 key_size, __u32 value_size,
					__u32 max_entries, __u32 flags, int inner_map_fd, int btf_fd, __u32 key_type,
					__u32 value_type)
{
	LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = flags);
	if (inner_map_fd >= 0)
		opts.inner_map_fd = (__u32)inner_map_fd;
	if (btf_fd >= 0) {
		opts.btf_fd = (__u32)btf_fd;
		opts.btf_key_type_id = key_type;
		opts.btf_value_type_id = value_type;
	}
	return bpf_map_create(type, name, key_size, value_size, max_entries, &opts);
}

static inline int weir_map_create(enum bpf_map_type type, const char *name, __u32 key_size, __u32 value_size,
				  __u32 max_entries, __u32 flags, int inner_map_fd)
{
	return weir_map_create_typed(type, name, key_size, value_size, max_entries, flags, inner_map_fd, -1, 0, 0);
}

/*
 * 1: a map with a description takes the place of one without, in a map of maps. Linux before 6.2 compares more than
 * type, sizes and flags, but only where the value is a structure: `value` is one of `value_size` bytes, `key` a 32-bit
 * integer. Nothing is replaced: the update wants an element that is not there, and the kernel looks at the maps first.
 */
static inline int weir_probe_typed_inner(int btf_fd, __u32 key, __u32 value, __u32 value_size)
{
	const enum bpf_map_type array = BPF_MAP_TYPE_ARRAY;
	const __u32 element = 0;
	int plain = weir_map_create(array, "weir_plain", 4, value_size, 1, 0, -1);
	int typed = weir_map_create_typed(array, "weir_typed", 4, value_size, 1, 0, -1, btf_fd, key, value);
	int outer = plain < 0 ? plain : weir_map_create(BPF_MAP_TYPE_HASH_OF_MAPS, "weir_outer", 4, 4, 1, 0, plain);
	int error = typed < 0 || outer < 0 ? -EINVAL : bpf_map_update_elem(outer, &element, &typed, BPF_EXIST);
	if (plain >= 0)
		close(plain);
	if (typed >= 0)
		close(typed);
	if (outer >= 0)
		close(outer);
	return error == -ENOENT;
}

static inline int weir_map_update_batch(int fd, const void *keys, const void *values, __u32 *count)
{
	LIBBPF_OPTS(bpf_map_batch_opts, opts);
	return bpf_map_update_batch(fd, keys, values, count, &opts);
}

static inline int weir_map_lookup_batch(int fd, void *in, void *out, void *keys, void *values, __u32 *count)
{
	LIBBPF_OPTS(bpf_map_batch_opts, opts);
	return bpf_map_lookup_batch(fd, in, out, keys, values, count, &opts);
}

/*
 * How many CPUs a per-CPU map has room for. libbpf reads it below /sys; where that is not mounted a map tells: a lookup
 * writes one value for each, and values that nobody set are zero.
 */
static inline int weir_possible_cpus(void)
{
	static const __u32 key;
	__u64 values[8192]; /* x86 has no kernel for more */
	int count = libbpf_num_possible_cpus(), fd, error;
	if (count > 0)
		return count;
	fd = weir_map_create(BPF_MAP_TYPE_PERCPU_ARRAY, "weir_cpus", sizeof(key), sizeof(values[0]), 1, 0, -1);
	if (fd < 0)
		return fd;
	__builtin_memset(values, 0xff, sizeof(values));
	error = bpf_map_lookup_elem(fd, &key, values);
	close(fd);
	for (count = 0; !error && count < 8192 && !values[count]; count++)
		;
	return error ? error : count;
}

static inline int weir_map_info(int fd, struct bpf_map_info *info)
{
	__u32 size = sizeof(*info);
	__builtin_memset(info, 0, sizeof(*info));
	return bpf_obj_get_info_by_fd(fd, info, &size);
}

static inline int weir_prog_info(int fd, struct bpf_prog_info *info, __u32 *map_ids, __u32 map_count)
{
	__u32 size = sizeof(*info);
	__builtin_memset(info, 0, sizeof(*info));
	info->map_ids = (__u64)(unsigned long)map_ids;
	info->nr_map_ids = map_count;
	return bpf_obj_get_info_by_fd(fd, info, &size);
}

/* The type is the caller's to check: a pin may be anything. */
struct weir_link_info {
	__u32 type;
	__u32 id;
	__u32 program_id;
	__u32 ifindex; /* 0 after the device is gone */
	__u32 attach_type;
};

static inline int weir_link_info(int fd, struct weir_link_info *out)
{
	struct bpf_link_info info;
	__u32 size = sizeof(info);
	__builtin_memset(&info, 0, sizeof(info));
	int error = bpf_obj_get_info_by_fd(fd, &info, &size);
	if (error)
		return error;
	/* The tcx member is {ifindex, attach_type}, like netns in the older header of this build. */
	*out = (struct weir_link_info){
		.type = info.type,
		.id = info.id,
		.program_id = info.prog_id,
		.ifindex = info.netns.netns_ino,
		.attach_type = info.netns.attach_type,
	};
	return 0;
}

static inline enum bpf_attach_type weir_tcx_hook(int egress_hook)
{
	return (enum bpf_attach_type)(egress_hook ? WEIR_BPF_TCX_EGRESS : WEIR_BPF_TCX_INGRESS);
}

/* Inserts at the head of the chain. */
static inline int weir_tcx_link_create(int program_fd, __u32 ifindex, int egress_hook)
{
	LIBBPF_OPTS(bpf_link_create_opts, opts, .flags = WEIR_BPF_F_BEFORE);
	return bpf_link_create(program_fd, (int)ifindex, weir_tcx_hook(egress_hook), &opts);
}

/* Likewise, but without a link: the program stays until it is detached or the device goes. */
static inline int weir_tcx_attach(int program_fd, __u32 ifindex, int egress_hook)
{
	return bpf_prog_attach(program_fd, (int)ifindex, weir_tcx_hook(egress_hook), WEIR_BPF_F_BEFORE);
}

static inline int weir_tcx_detach(int program_fd, __u32 ifindex, int egress_hook)
{
	return bpf_prog_detach2(program_fd, (int)ifindex, weir_tcx_hook(egress_hook));
}

static inline int weir_tcx_query(__u32 ifindex, int egress_hook, __u32 *program_ids, __u32 *count)
{
	__u32 flags = 0;
	return bpf_prog_query((int)ifindex, weir_tcx_hook(egress_hook), 0, &flags, program_ids, count);
}

static inline int weir_tc_hook_create(__u32 ifindex)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = (int)ifindex, .attach_point = BPF_TC_INGRESS);
	return bpf_tc_hook_create(&hook);
}

/* Deletes the qdisc itself, and with it every filter. */
static inline int weir_tc_hook_destroy(__u32 ifindex)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = (int)ifindex,
		    .attach_point = (enum bpf_tc_attach_point)(BPF_TC_INGRESS | BPF_TC_EGRESS));
	return bpf_tc_hook_destroy(&hook);
}

static inline int weir_tc_attach(__u32 ifindex, int egress_hook, int program_fd, __u32 handle, __u32 priority,
				 int replace)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = (int)ifindex,
		    .attach_point = egress_hook ? BPF_TC_EGRESS : BPF_TC_INGRESS);
	LIBBPF_OPTS(bpf_tc_opts, opts, .prog_fd = program_fd, .handle = handle, .priority = priority,
		    .flags = replace ? BPF_TC_F_REPLACE : 0);
	return bpf_tc_attach(&hook, &opts);
}

static inline int weir_tc_detach(__u32 ifindex, int egress_hook, __u32 handle, __u32 priority)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = (int)ifindex,
		    .attach_point = egress_hook ? BPF_TC_EGRESS : BPF_TC_INGRESS);
	LIBBPF_OPTS(bpf_tc_opts, opts, .handle = handle, .priority = priority);
	return bpf_tc_detach(&hook, &opts);
}

static inline int weir_tc_query(__u32 ifindex, int egress_hook, __u32 handle, __u32 priority, __u32 *program_id)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = (int)ifindex,
		    .attach_point = egress_hook ? BPF_TC_EGRESS : BPF_TC_INGRESS);
	LIBBPF_OPTS(bpf_tc_opts, opts, .handle = handle, .priority = priority);
	int error = bpf_tc_query(&hook, &opts);
	*program_id = opts.prog_id;
	return error;
}

struct weir_test_run {
	__s32 return_code;
	__u32 duration_ns; /* mean over the repetitions */
};

static inline int weir_test_run(int program_fd, const void *frame, __u32 length, __u32 ifindex,
				__u32 ingress_ifindex, int repeat, struct weir_test_run *out)
{
	struct __sk_buff context = {.ifindex = ifindex, .ingress_ifindex = ingress_ifindex};
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = frame, .data_size_in = length, .ctx_in = &context,
		    .ctx_size_in = sizeof(context), .repeat = repeat);
	int error = bpf_prog_test_run_opts(program_fd, &opts);
	out->return_code = (__s32)opts.retval;
	out->duration_ns = opts.duration;
	return error;
}

static inline struct bpf_object *weir_object_open(const void *bytes, size_t size, const char *name)
{
	LIBBPF_OPTS(bpf_object_open_opts, opts, .object_name = name);
	return bpf_object__open_mem(bytes, size, &opts);
}

/* Sets a 32-bit constant in .rodata before the object is loaded. ENOENT: no such constant. */
static inline int weir_object_set_constant(struct bpf_object *object, const char *name, __u32 value)
{
	const struct btf *btf = bpf_object__btf(object);
	struct bpf_map *map;
	int section = btf__find_by_name_kind(btf, ".rodata", BTF_KIND_DATASEC);
	if (section < 0)
		return -ENOENT;
	const struct btf_type *type = btf__type_by_id(btf, (__u32)section);
	const struct btf_var_secinfo *variables = btf_var_secinfos(type);
	for (int i = 0; i < btf_vlen(type); i++) {
		const struct btf_type *variable = btf__type_by_id(btf, variables[i].type);
		if (__builtin_strcmp(btf__name_by_offset(btf, variable->name_off), name))
			continue;
		bpf_object__for_each_map(map, object) {
			const char *map_name = bpf_map__name(map);
			size_t length = __builtin_strlen(map_name), size = 0;
			if (length < 7 || __builtin_strcmp(map_name + length - 7, ".rodata"))
				continue;
			/* libbpf 1.1 hands out its own writable copy. */
			char *data = (char *)bpf_map__initial_value(map, &size);
			if (!data || variables[i].size != sizeof(value) || variables[i].offset + sizeof(value) > size)
				return -EINVAL;
			__builtin_memcpy(data + variables[i].offset, &value, sizeof(value));
			return 0;
		}
	}
	return -ENOENT;
}

/* Bytes of a structure in the object's BTF; negative where it is not there. */
static inline __s64 weir_object_struct_size(const struct bpf_object *object, const char *name)
{
	const struct btf *btf = bpf_object__btf(object);
	int id = btf__find_by_name_kind(btf, name, BTF_KIND_STRUCT);
	return id < 0 ? id : btf__resolve_size(btf, (__u32)id);
}

/*
 * A program that returns TCX_NEXT and does nothing else; probes attach it, nobody runs it.
 * (r0 = -1; exit)
 */
static inline int weir_probe_program(void)
{
	const struct bpf_insn code[] = {
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = -1},
		{.code = BPF_JMP | BPF_EXIT},
	};
	LIBBPF_OPTS(bpf_prog_load_opts, opts);
	return bpf_prog_load(BPF_PROG_TYPE_SCHED_CLS, "weir_probe", "Dual BSD/GPL", code, 2, &opts);
}

/* Whether the probe program was translated to machine code. Negative: errno. */
static inline int weir_probe_is_translated(int probe_program_fd)
{
	struct bpf_prog_info info;
	int error = weir_prog_info(probe_program_fd, &info, NULL, 0);
	return error ? error : info.jited_prog_len > 0;
}

/* The ids of the helpers that an open object's programs call, at most `room`, each once; how many. */
static inline int weir_object_helpers(const struct bpf_object *object, __u32 *ids, int room)
{
	struct bpf_program *program;
	int count = 0;
	bpf_object__for_each_program(program, object) {
		const struct bpf_insn *code = bpf_program__insns(program);
		for (size_t i = 0; i < bpf_program__insn_cnt(program); i++) {
			if (code[i].code != (BPF_JMP | BPF_CALL) || code[i].src_reg)
				continue;
			int known = 0;
			while (known < count && ids[known] != (__u32)code[i].imm)
				known++;
			if (known == count && count < room)
				ids[count++] = (__u32)code[i].imm;
		}
	}
	return count;
}

/* 1: programs of our type may call it, 0: not on this kernel. Negative: errno. */
static inline int weir_probe_helper(__u32 id)
{
	return libbpf_probe_bpf_helper(BPF_PROG_TYPE_SCHED_CLS, (enum bpf_func_id)id, NULL);
}

/* "bpf_map_lookup_elem"; NULL for one that the headers of this build do not know. */
static inline const char *weir_helper_name(__u32 id)
{
#define WEIR_HELPER_NAME(name) [BPF_FUNC_##name] = "bpf_" #name
	static const char *const names[] = {__BPF_FUNC_MAPPER(WEIR_HELPER_NAME)};
#undef WEIR_HELPER_NAME
	return id < sizeof(names) / sizeof(*names) ? names[id] : NULL;
}

/* Swift cannot read the macro. */
static inline int weir_last_errno(void)
{
	return errno;
}

/* NULL and errno instead of MAP_FAILED. */
static inline void *weir_map_shared(int fd, size_t size)
{
	void *mapped = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	return mapped == MAP_FAILED ? NULL : mapped;
}

/* The mapped control word: one aligned 8-byte access each, as the programs see it. */
static inline __u64 weir_mapped_load(const void *word)
{
	return __atomic_load_n((const __u64 *)word, __ATOMIC_ACQUIRE);
}

static inline void weir_mapped_store(void *word, __u64 value)
{
	__atomic_store_n((__u64 *)word, value, __ATOMIC_SEQ_CST);
}

/* 1: a bpf file system, 0: another one, negative: errno. */
static inline int weir_is_bpffs(const char *path)
{
	struct statfs buffer;
	if (statfs(path, &buffer))
		return -errno;
	return (__u64)buffer.f_type == (__u64)BPF_FS_MAGIC;
}

#endif
