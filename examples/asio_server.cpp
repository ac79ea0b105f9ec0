// SPDX-License-Identifier: MIT
// The capture part in a server of Asio: answers every connection with one line, the fingerprint of its SYN.
// Asio's acceptor is opened step by step, since the source comes between bind() and listen().
#include <asio.hpp>
#include <cstdio>
#include <cstring>
#include <string>

#include <synfp/capture/first_of.hpp>
#include <synfp/capture/probe.hpp>
#include <synfp/capture/saved_syn.hpp>
#include <synfp/fingerprint/muonfp.hpp>
using namespace synfp;
using asio::ip::tcp;

namespace {

endpoint from_asio(const tcp::endpoint& e) {
  sockaddr_storage storage{};
  std::memcpy(&storage, e.data(), e.size());
  return endpoint::from_sockaddr(storage, static_cast<socklen_t>(e.size())).value_or(endpoint());
}

template <capture::source Source>
void accept_next(tcp::acceptor& acceptor, const Source& source) {
  acceptor.async_accept([&](asio::error_code failed, tcp::socket socket) {
    if (failed) throw std::system_error(failed, "accept");
    asio::error_code reset;  // meanwhile: no address, no SYN
    const endpoint peer = from_asio(socket.remote_endpoint(reset));
    const endpoint local = from_asio(socket.local_endpoint(reset));
    const syn_lookup syn = source.claim({socket.native_handle(), peer, local}, capture::now_ns());
    std::string line(syn ? fingerprint::muonfp(*syn).view() : to_string(syn.miss));
    asio::write(socket, asio::buffer(line += '\n'), reset);  // fits into any socket buffer: does not block
    accept_next(acceptor, source);
  });
}

}  // namespace

int main() try {
  capture::probe<> probe;
  capture::saved_syn saved;  // the kernel's copy, where the probe has no proof
  capture::first_of source(probe, saved);

  asio::io_context loop;
  tcp::acceptor acceptor(loop, tcp::v6());
  const int on = 1;  // before bind()
  if (::setsockopt(acceptor.native_handle(), SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) != 0)
    throw std::system_error(errno, std::generic_category(), "SO_REUSEPORT");
  acceptor.bind({tcp::v6(), 8080});
  value_or_throw(source.prepare(acceptor.native_handle(), true));
  acceptor.listen();
  accept_next(acceptor, source);
  loop.run();
} catch (const std::exception& e) {
  std::fprintf(stderr, "asio_server: %s\n", e.what());
  return 2;
}
