// TcpProxy: a network between clients and a server, on the loopback, that a test can cut, stop and
// slow down.
#pragma once

#include <cstdint>
#include <mutex>
#include <string>
#include <thread>

namespace myfs::test {

class TcpProxy {
 public:
  // Forwards connections to 127.0.0.1:`port` until it ends. Aborts without a socket.
  explicit TcpProxy(uint16_t port);
  ~TcpProxy();
  TcpProxy(const TcpProxy&) = delete;
  TcpProxy& operator=(const TcpProxy&) = delete;

  // Where clients connect to.
  uint16_t port() const { return port_; }

  // Ends every connection; what was on its way is lost, so a message may arrive in part. New ones
  // can be made at once.
  void cut();
  // true: nothing is forwarded, accepted or ended any more, and neither side is told (half-open);
  // what was sent before waits. false: all of it goes on.
  void stall(bool on);
  // From now on, what comes waits for `ms` before it goes on, and on the second, third and fourth
  // of four connections for one, two and three times `per_connection_ms` more: messages of
  // different connections overtake one another. Each connection keeps its order.
  void delay(int ms, int per_connection_ms = 0);
  // Bytes forwarded so far, both ways.
  uint64_t forwarded();

 private:
  class Loop;
  void wake();

  struct Wishes {
    bool stall = false;
    int delay_ms = 0, per_connection_ms = 0;
    uint64_t cuts = 0;
    bool end = false;
    uint64_t forwarded = 0;  // told by the loop
  };

  std::mutex mutex_;
  Wishes wishes_;
  int listener_ = -1;
  int wake_ = -1;  // eventfd
  uint16_t port_ = 0;
  std::thread thread_;
};

}  // namespace myfs::test
