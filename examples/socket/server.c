/* SPDX-License-Identifier: MIT */
/* A plain accept() loop in C that answers with the client's SYN, as proof and hexadecimal. It needs
 * synfp/socket.h, which is one file without dependencies, and no privilege. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <synfp/socket.h>

static int describe(int connection, char* out) {
  struct synfp_socket_answer answer;

  if (synfp_socket_syn(connection, &answer) != 0)
    return sprintf(out, "none: %s\n", errno == ENOPROTOOPT ? "no probe covers this socket" : strerror(errno));
  if (answer.status != SYNFP_SOCKET_FOUND) return sprintf(out, "none: status %d\n", answer.status);
  int n = sprintf(out, "%s ", answer.proof == SYNFP_SOCKET_EXACT ? "exact" : "verified");
  for (int i = 0; i < answer.ip_length + answer.tcp_length; ++i)
    n += sprintf(out + n, "%02x", answer.headers[i]);
  return n + sprintf(out + n, "\n");
}

int main(void) {
  const struct sockaddr_in any = {.sin_family = AF_INET, .sin_port = htons(8080)};
  const int on = 1, listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  char line[300];

  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (bind(listener, (const struct sockaddr*)&any, sizeof any) != 0 || listen(listener, 128) != 0) {
    perror("server");
    return 2;
  }
  for (;;) {
    const int connection = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    if (connection < 0) continue;
    send(connection, line, (size_t)describe(connection, line), MSG_NOSIGNAL);
    close(connection);
  }
}
