/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How long requests take on two ways to one server, in turn, each way on one connection.
 * usage: requests serve PORT
 *        requests ask PORT COUNT ADDRESS ADDRESS     one line: 50th and 99th percentile in microseconds of each, and the
 *                                                    ratio of the 99th ones
 */
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { request_size = 128, ways = 2 };

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static int tcp_socket(void)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0), on = 1;

	if (fd < 0 || setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)))
		die("socket");
	return fd;
}

/* False at the end of the connection. */
static int receive(int fd, char *bytes)
{
	return recv(fd, bytes, request_size, MSG_WAITALL) == request_size;
}

static void serve(unsigned short port)
{
	struct sockaddr_in name = { .sin_family = AF_INET, .sin_port = htons(port) };
	int listener = tcp_socket();

	signal(SIGCHLD, SIG_IGN);
	if (bind(listener, (struct sockaddr *)&name, sizeof(name)) || listen(listener, 8))
		die("listen");
	for (;;) {
		char bytes[request_size];
		int fd = accept(listener, NULL, NULL), on = 1;

		if (fd < 0)
			die("accept");
		if (fork() == 0) {
			setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
			while (receive(fd, bytes) && send(fd, bytes, request_size, 0) == request_size)
				;
			exit(0);
		}
		close(fd);
	}
}

static double ask(int fd)
{
	struct timespec start, end;
	char bytes[request_size] = {};

	clock_gettime(CLOCK_MONOTONIC, &start);
	if (send(fd, bytes, request_size, 0) != request_size || !receive(fd, bytes))
		die("request");
	clock_gettime(CLOCK_MONOTONIC, &end);
	return (end.tv_sec - start.tv_sec) * 1e6 + (end.tv_nsec - start.tv_nsec) / 1e3;
}

static int ascending(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void ask_all(unsigned short port, int count, char **addresses)
{
	double *took[ways];
	int fds[ways];

	for (int way = 0; way < ways; way++) {
		struct sockaddr_in name = { .sin_family = AF_INET, .sin_port = htons(port) };

		took[way] = calloc(count, sizeof(double));
		fds[way] = tcp_socket();
		if (!took[way] || inet_pton(AF_INET, addresses[way], &name.sin_addr) != 1 ||
		    connect(fds[way], (struct sockaddr *)&name, sizeof(name)))
			die(addresses[way]);
		for (int i = 0; i < 100; i++)
			ask(fds[way]);
	}
	for (int i = 0; i < count; i++)
		for (int way = 0; way < ways; way++)
			took[way][i] = ask(fds[way]);
	for (int way = 0; way < ways; way++) {
		qsort(took[way], count, sizeof(double), ascending);
		printf("%s p50 %.0f us, p99 %.0f us; ", addresses[way], took[way][count / 2], took[way][count * 99 / 100]);
	}
	printf("p99 %.2f times\n", took[1][count * 99 / 100] / took[0][count * 99 / 100]);
}

int main(int argc, char **argv)
{
	if (argc == 3 && !strcmp(argv[1], "serve"))
		serve(atoi(argv[2]));
	if (argc != 4 + ways || strcmp(argv[1], "ask") || atoi(argv[3]) < 1) {
		fprintf(stderr, "usage: requests serve PORT | requests ask PORT COUNT ADDRESS ADDRESS\n");
		return 64;
	}
	ask_all(atoi(argv[2]), atoi(argv[3]), argv + 4);
	return 0;
}
