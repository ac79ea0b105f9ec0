// SPDX-License-Identifier: MIT

// A plain server in Go that answers with the client's SYN: package syscall and nothing else. Run it with
// "go run server.go". It needs no privilege: a probe that covers its cgroup answers getsockopt().
package main

import (
	"fmt"
	"log"
	"net"
	"syscall"
	"unsafe"
)

const (
	tcpSavedSyn = 28       // tcp(7)
	socketSyn   = 0x53594e // SYNFP_SO_SYN of synfp/socket.h
)

// struct synfp_socket_answer
type answer struct {
	Size                                                 uint16
	Status, Proof, Source, Flags, Retransmits, TcpOffset uint8
	TimeNs                                               uint64
	Ifindex                                              uint32
	Vlan                                                 [2]uint16
	IpLength, TcpLength                                  uint8
	Link                                                 [14]uint8
	Headers                                              [120]uint8
}

func getsockopt(fd uintptr, level, name int, to unsafe.Pointer, length uint32) (uint32, error) {
	_, _, number := syscall.Syscall6(syscall.SYS_GETSOCKOPT, fd, uintptr(level), uintptr(name), uintptr(to),
		uintptr(unsafe.Pointer(&length)), 0)
	if number != 0 {
		return 0, number
	}
	return length, nil
}

func describe(connection *net.TCPConn) (line string) {
	raw, err := connection.SyscallConn()
	if err != nil {
		return "none: " + err.Error() + "\n"
	}
	raw.Control(func(fd uintptr) {
		var a answer
		var saved [256]byte
		if _, err := getsockopt(fd, syscall.SOL_SOCKET, socketSyn, unsafe.Pointer(&a), uint32(unsafe.Sizeof(a))); err != nil {
			line = "none: " + err.Error() + "\n"
		} else if a.Status != 0 {
			line = fmt.Sprintf("none: status %d\n", a.Status)
		} else {
			proof := map[uint8]string{2: "verified", 3: "exact"}[a.Proof]
			line = fmt.Sprintf("%s %x\n", proof, a.Headers[:int(a.IpLength)+int(a.TcpLength)])
		}
		// The kernel's own option: also after SYN cookies, once per connection.
		n, _ := getsockopt(fd, syscall.IPPROTO_TCP, tcpSavedSyn, unsafe.Pointer(&saved), uint32(len(saved)))
		line += fmt.Sprintf("saved %x\n", saved[:n])
	})
	return line
}

func main() {
	listener, err := net.Listen("tcp", ":8080")
	if err != nil {
		log.Fatal(err)
	}
	for {
		connection, err := listener.Accept()
		if err != nil {
			log.Fatal(err)
		}
		fmt.Fprint(connection, describe(connection.(*net.TCPConn)))
		connection.Close()
	}
}
