/* SPDX-License-Identifier: Apache-2.0 */
/* Test runs, and the programs that stand around what is measured: assembled here, so that no compiler is needed. */
#define _GNU_SOURCE
#include "cbench.h"
#include "call.h"

#include <linux/bpf.h>
#include <stddef.h>
#include <time.h>
#include <unistd.h>

enum {
	LOOPBACK = 1, /* exists in every namespace */
	NOT_CALLED = 7,
	FOUND = 1,
	STEP = 7919, /* a prime */
	TABLE_KEY = 16,
	TABLE_VALUE = 64,
};

int cbench_program_with_id(uint32_t id)
{
	union bpf_attr attributes = {};
	attributes.prog_id = id;
	return bpf(BPF_PROG_GET_FD_BY_ID, &attributes);
}

static int64_t own_time(void)
{
	struct timespec time;
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
	return time.tv_sec * 1000000000LL + time.tv_nsec;
}

int64_t cbench_test_run(int program, const void *frame, uint32_t length, uint32_t count, int32_t *code)
{
	struct __sk_buff context = {.ifindex = LOOPBACK, .ingress_ifindex = LOOPBACK};
	union bpf_attr attributes = {};
	attributes.test.prog_fd = (uint32_t)program;
	attributes.test.data_in = (uint64_t)frame;
	attributes.test.data_size_in = length;
	attributes.test.ctx_in = (uint64_t)&context;
	attributes.test.ctx_size_in = sizeof(context);
	attributes.test.repeat = count;
	int64_t start = own_time();
	int result = bpf(BPF_PROG_TEST_RUN, &attributes);
	int64_t end = own_time();
	*code = (int32_t)attributes.test.retval;
	return result < 0 ? result : end - start;
}

/* Instructions in the order of their fields. */
#define INSN(operation, destination, source, distance, immediate)                                             \
	{                                                                                                     \
		.code = (operation), .dst_reg = (destination), .src_reg = (source), .off = (int16_t)(distance), \
		.imm = (int32_t)(immediate)                                                                   \
	}
#define MOVE(destination, source) INSN(BPF_ALU64 | BPF_MOV | BPF_X, destination, source, 0, 0)
#define SET(destination, value) INSN(BPF_ALU64 | BPF_MOV | BPF_K, destination, 0, 0, value)
#define COMPUTE(operation, destination, value) INSN(BPF_ALU64 | (operation) | BPF_K, destination, 0, 0, value)
#define LOAD(size, destination, source, distance) INSN(BPF_LDX | BPF_MEM | (size), destination, source, distance, 0)
#define STORE(size, destination, distance, source) INSN(BPF_STX | BPF_MEM | (size), destination, source, distance, 0)
#define CALL(function) INSN(BPF_JMP | BPF_CALL, 0, 0, 0, function)
#define EXIT INSN(BPF_JMP | BPF_EXIT, 0, 0, 0, 0)
/* A map itself, or the address of its first value. */
#define MAP(destination, kind, map) INSN(BPF_LD | BPF_DW | BPF_IMM, destination, kind, 0, map), INSN(0, 0, 0, 0, 0)

/* How often it ran before, in register 7; registers 1 and 2 are free. */
#define COUNT_RUNS(counter)                                                                         \
	MAP(BPF_REG_1, BPF_PSEUDO_MAP_VALUE, counter), LOAD(BPF_DW, BPF_REG_7, BPF_REG_1, 0),       \
		MOVE(BPF_REG_2, BPF_REG_7), COMPUTE(BPF_ADD, BPF_REG_2, 1), \
		STORE(BPF_DW, BPF_REG_1, 0, BPF_REG_2)

static int load(const struct bpf_insn *instructions, size_t bytes)
{
	union bpf_attr attributes = {};
	attributes.prog_type = BPF_PROG_TYPE_SCHED_CLS;
	attributes.insns = (uint64_t)instructions;
	attributes.insn_cnt = (uint32_t)(bytes / sizeof(*instructions));
	attributes.license = (uint64_t) "GPL";
	return bpf(BPF_PROG_LOAD, &attributes);
}

static int create_counter(void)
{
	return cbench_map_create(BPF_MAP_TYPE_ARRAY, sizeof(uint32_t), sizeof(uint64_t), 1, 0);
}

static int load_rotating(const struct cbench_rotation *rotation, int counter, int calls)
{
	int width = rotation->width == 4 ? BPF_W : BPF_H;
	const struct bpf_insn instructions[] = {
		MOVE(BPF_REG_6, BPF_REG_1),
		COUNT_RUNS(counter),
		COMPUTE(BPF_MUL, BPF_REG_7, rotation->step),
		COMPUTE(BPF_MOD, BPF_REG_7, rotation->count),
		COMPUTE(BPF_LSH, BPF_REG_7, rotation->shift),
		COMPUTE(BPF_ADD, BPF_REG_7, rotation->first),
		INSN(BPF_ALU | BPF_END | BPF_TO_BE, BPF_REG_7, 0, 0, rotation->width * 8),
		LOAD(BPF_W, BPF_REG_1, BPF_REG_6, offsetof(struct __sk_buff, data)),
		LOAD(BPF_W, BPF_REG_2, BPF_REG_6, offsetof(struct __sk_buff, data_end)),
		MOVE(BPF_REG_3, BPF_REG_1),
		COMPUTE(BPF_ADD, BPF_REG_3, rotation->offset + rotation->width),
		INSN(BPF_JMP | BPF_JGT | BPF_X, BPF_REG_3, BPF_REG_2, 6, 0),
		STORE(width, BPF_REG_1, rotation->offset, BPF_REG_7),
		MOVE(BPF_REG_1, BPF_REG_6),
		MAP(BPF_REG_2, BPF_PSEUDO_MAP_FD, calls),
		SET(BPF_REG_3, 0),
		CALL(BPF_FUNC_tail_call),
		SET(BPF_REG_0, NOT_CALLED),
		EXIT,
	};
	return load(instructions, sizeof(instructions));
}

int cbench_rotating_program(const struct cbench_rotation *rotation, int called, int *calls)
{
	uint32_t zero = 0;
	int counter = create_counter();
	if (counter < 0)
		return counter;
	*calls = cbench_map_create(BPF_MAP_TYPE_PROG_ARRAY, sizeof(zero), sizeof(called), 1, 0);
	int result = *calls < 0 ? *calls : load_rotating(rotation, counter, *calls);
	close(counter);
	if (result >= 0) {
		union bpf_attr attributes = {};
		attributes.map_fd = (uint32_t)*calls;
		attributes.key = (uint64_t)&zero;
		attributes.value = (uint64_t)&called;
		int error = bpf(BPF_MAP_UPDATE_ELEM, &attributes);
		if (!error)
			return result;
		close(result);
		result = error;
	}
	if (*calls >= 0)
		close(*calls);
	return result;
}

#define STORE_ZERO(distance) INSN(BPF_ST | BPF_MEM | BPF_DW, BPF_REG_10, 0, distance, 0)

static int load_inserting(int counter, int table)
{
	const struct bpf_insn instructions[] = {
		COUNT_RUNS(counter),
		STORE(BPF_DW, BPF_REG_10, -TABLE_KEY, BPF_REG_7),
		STORE_ZERO(-8),
		STORE_ZERO(-24),
		STORE_ZERO(-32),
		STORE_ZERO(-40),
		STORE_ZERO(-48),
		STORE_ZERO(-56),
		STORE_ZERO(-64),
		STORE_ZERO(-72),
		STORE_ZERO(-80),
		MAP(BPF_REG_1, BPF_PSEUDO_MAP_FD, table),
		MOVE(BPF_REG_2, BPF_REG_10),
		COMPUTE(BPF_ADD, BPF_REG_2, -TABLE_KEY),
		MOVE(BPF_REG_3, BPF_REG_10),
		COMPUTE(BPF_ADD, BPF_REG_3, -TABLE_KEY - TABLE_VALUE),
		SET(BPF_REG_4, BPF_ANY),
		CALL(BPF_FUNC_map_update_elem),
		EXIT,
	};
	return load(instructions, sizeof(instructions));
}

static int load_finding(int counter, int table, uint32_t keys)
{
	const struct bpf_insn instructions[] = {
		COUNT_RUNS(counter),
		COMPUTE(BPF_MUL, BPF_REG_7, STEP),
		COMPUTE(BPF_MOD, BPF_REG_7, keys),
		STORE(BPF_DW, BPF_REG_10, -TABLE_KEY, BPF_REG_7),
		STORE_ZERO(-8),
		MAP(BPF_REG_1, BPF_PSEUDO_MAP_FD, table),
		MOVE(BPF_REG_2, BPF_REG_10),
		COMPUTE(BPF_ADD, BPF_REG_2, -TABLE_KEY),
		CALL(BPF_FUNC_map_lookup_elem),
		INSN(BPF_JMP | BPF_JEQ | BPF_K, BPF_REG_0, 0, 4, 0),
		LOAD(BPF_DW, BPF_REG_1, BPF_REG_0, 0),
		COMPUTE(BPF_ADD, BPF_REG_1, 1),
		STORE(BPF_DW, BPF_REG_0, 0, BPF_REG_1),
		SET(BPF_REG_0, FOUND),
		EXIT,
	};
	return load(instructions, sizeof(instructions));
}

int cbench_table_programs(uint32_t entries, uint32_t keys, int *finding)
{
	int table = cbench_map_create(BPF_MAP_TYPE_LRU_HASH, TABLE_KEY, TABLE_VALUE, entries, 0);
	int inserted = create_counter(), found = create_counter();
	int result = table < 0 ? table : inserted < 0 ? inserted : found;
	if (result >= 0)
		result = *finding = load_finding(found, table, keys);
	if (result >= 0) {
		result = load_inserting(inserted, table);
		if (result < 0)
			close(*finding);
	}
	/* The programs hold what they use. */
	if (table >= 0)
		close(table);
	if (inserted >= 0)
		close(inserted);
	if (found >= 0)
		close(found);
	return result;
}
