/* SPDX-License-Identifier: MIT */
/* A plain accept() loop in C that answers with the client's SYN, as proof and hexadecimal. It needs
 * synfp/socket.h, which is one file without dependencies, and no privilege. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <synfp/socket.h>

static int put_hex(char* out, const unsigned char* from, int length) {
  for (int i = 0; i < length; ++i) sprintf(out + 2 * i, "%02x", from[i]);
  return 2 * length + sprintf(out + 2 * length, "\n");
}

static int describe(int connection, char* out) {
  struct synfp_socket_answer answer;
  unsigned char saved[256];
  socklen_t length = sizeof saved;
  int n = 0;

  if (synfp_socket_syn(connection, &answer) != 0) {
    n = sprintf(out, "none: %s\n", errno == ENOPROTOOPT ? "no probe covers this socket" : strerror(errno));
  } else if (answer.status != SYNFP_SOCKET_FOUND) {
    n = sprintf(out, "none: status %d\n", answer.status);
  } else {
    n = sprintf(out, "%s ", answer.proof == SYNFP_SOCKET_EXACT ? "exact" : "verified");
    n += put_hex(out + n, answer.headers, answer.ip_length + answer.tcp_length);
  }
  /* The kernel's own option: also after SYN cookies, once per connection. */
  if (getsockopt(connection, IPPROTO_TCP, TCP_SAVED_SYN, saved, &length) != 0) length = 0;
  n += sprintf(out + n, "saved ");
  return n + put_hex(out + n, saved, (int)length);
}

int main(void) {
  const struct sockaddr_in any = {.sin_family = AF_INET, .sin_port = htons(8080)};
  const int on = 1, listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  char line[1000];

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
