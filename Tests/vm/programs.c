/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the verifier had to read of each program, and which programs are loaded. Static and without a framework, so that
 * the same file runs on any kernel that boots with an initramfs.
 * usage: programs OBJECT...      one line each: PROGRAM default|all INSTRUCTIONS; without options only default
 *        programs                the ids of the loaded programs of any weir, one line each
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../Sources/CLibbpf/shim.h"
#include "../../bpf/abi/weir_abi.h"

static void die(const char *what)
{
	fprintf(stderr, "programs: %s: %s\n", what, strerror(errno));
	exit(2);
}

static struct bpf_prog_info information(int fd, const char *what)
{
	struct bpf_prog_info info = {};
	__u32 size = sizeof(info);

	if (bpf_obj_get_info_by_fd(fd, &info, &size))
		die(what);
	return info;
}

/* An option that is off is a constant: the verifier does not read what stands behind it. False: it has no options. */
static int measure(const char *path, const char *label, weir_u32 options)
{
	struct bpf_object *object = bpf_object__open_file(path, NULL);
	struct bpf_program *program;
	int error;

	if (!object)
		die(path);
	error = weir_object_set_constant(object, "weir_options", options);
	if (error && error != -ENOENT) {
		errno = -error;
		die("weir_options");
	}
	if (bpf_object__load(object))
		die("load");
	bpf_object__for_each_program(program, object) {
		const char *name = bpf_program__name(program);

		printf("%s %s %u\n", name, label, information(bpf_program__fd(program), name).verified_insns);
	}
	bpf_object__close(object);
	return !error;
}

static void list(void)
{
	__u32 id = 0;

	while (!bpf_prog_get_next_id(id, &id)) {
		int fd = bpf_prog_get_fd_by_id(id);

		if (fd < 0) {
			if (errno == ENOENT) /* gone since */
				continue;
			die("open a program");
		}
		if (!strncmp(information(fd, "a program").name, "weir_", 5))
			printf("%u\n", id);
		close(fd);
	}
	if (errno != ENOENT)
		die("list programs");
}

int main(int count, char **arguments)
{
	if (count == 1)
		return list(), 0;
	for (int place = 1; place < count; place++)
		if (measure(arguments[place], "default", WEIR_OPTION_DEFAULTS))
			measure(arguments[place], "all", ~0u);
	return 0;
}
