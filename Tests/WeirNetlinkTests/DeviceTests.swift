import Foundation
import TestNetwork
import Testing
import WeirModel
import WeirNetlink
import WeirWireGuard

/// Whether this kernel makes WireGuard devices; asked of a namespace that goes again.
private let kernelHasWireGuard: Bool = {
    guard kernelTestsAreWanted, let namespace = try? OwnNamespace() else { return false }
    return (try? namespace.inside { try Netlink().createWireGuardInterface("wg0") }) == .created
}()

/// A name that no other device of this machine has: the sockets of all namespaces are in one directory.
private func deviceName() -> String { "wt" + String(UInt64.random(in: 0..<1 << 60), radix: 36).prefix(12) }

@Suite("Kernel WireGuard devices", .serialized, .enabled(if: kernelHasWireGuard))
struct KernelDeviceTests {
    @Test("what weir writes wg reads, and the other way")
    func promises() throws {
        let namespace = try OwnNamespace()
        for expected in [LinkCreation.created, .nameTaken] {
            let creation = try namespace.inside { try Netlink().createWireGuardInterface("weir-wg0") }
            #expect(creation == expected)
        }
        let found = try namespace.inside { try Netlink().wireGuardDevice("weir-wg0") }
        guard case .kernel(let device) = found else {
            Issue.record("found \(found)")
            return
        }
        try DevicePromises(device: device, namespace: namespace).hold()
    }

    @Test("a device that is gone says so")
    func gone() throws {
        let namespace = try OwnNamespace()
        let gone = NetlinkError(
            "read", "WireGuard device weir-wg9", errno: .noSuchDevice, hint: "the interface is gone")
        #expect(throws: gone) { try namespace.inside { try KernelDevice(name: "weir-wg9").state() } }
    }
}

@Suite("A kernel without WireGuard", .serialized, .enabled(if: kernelTestsAreWanted && !kernelHasWireGuard))
struct MissingKernelDeviceTests {
    @Test("it says that it has none, and leaves nothing")
    func unsupported() throws {
        let namespace = try OwnNamespace()
        let creation = try namespace.inside { try Netlink().createWireGuardInterface("weir-wg0") }
        #expect(creation == .unsupported)
        #expect(try namespace.inside { try Netlink().interface(named: "weir-wg0") } == nil)
        let error = try #require(throws: NetlinkError.self) {
            try namespace.inside { try KernelDevice(name: "weir-wg0") }
        }
        #expect(error.errno == .noSuchFileOrDirectory)
    }
}

@Suite("User-space WireGuard devices", .serialized, .enabled(if: kernelTestsAreWanted))
struct UserspaceDeviceTests {
    /// wireguard-go in a namespace of its own; gone with its owner.
    private final class Process {
        let namespace: OwnNamespace
        let device: UserspaceDevice
        private let command: BackgroundCommand

        init() throws {
            namespace = try OwnNamespace()
            let name = deviceName()
            device = UserspaceDevice(name: name)
            let words = UserspaceDevice.command(for: name).split(separator: " ").map(String.init)
            command = try BackgroundCommand(["ip", "netns", "exec", namespace.name] + words)
            for _ in 0..<500 where try !device.isRunning() { usleep(20_000) }
        }

        func stop() { command.stop() }

        deinit {
            command.stop()
            try? FileManager.default.removeItem(atPath: device.socketPath)
        }
    }

    @Test("what weir writes wg reads, and the other way")
    func promises() throws {
        let process = try Process()
        let found = try process.namespace.inside { try Netlink().wireGuardDevice(process.device.name) }
        guard case .userspace(let device) = found else {
            Issue.record("found \(found)")
            return
        }
        try DevicePromises(device: device, namespace: process.namespace).hold()
    }

    @Test("a device whose process has ended is not running, and says what to run")
    func ended() throws {
        let process = try Process()
        #expect(try process.device.isRunning())
        process.stop()
        #expect(try !process.device.isRunning())
        let found = try process.namespace.inside { try Netlink().wireGuardDevice(process.device.name) }
        #expect(found.device == nil)
        let error = try #require(throws: NetlinkError.self) {
            try process.device.apply(DeviceChange(listenPort: 51871))
        }
        #expect(error.errno == .connectionRefused)
        #expect(
            error.hint == "none is running; run, under supervision: wireguard-go --foreground \(process.device.name)")
    }

    @Test("the device of another namespace is refused, although its socket is there")
    func otherNamespace() throws {
        let process = try Process()
        let other = try OwnNamespace()
        try other.ip("tuntap", "add", "mode", "tun", "name", process.device.name)
        let error = try #require(throws: NetlinkError.self) {
            try other.inside { try Netlink().wireGuardDevice(process.device.name) }
        }
        #expect(error.errno == .addressInUse)
        #expect(error.hint?.contains("another network namespace") == true)
        // Without any interface it is absent, and cannot be read.
        let third = try OwnNamespace()
        let missing = try #require(throws: NetlinkError.self) {
            try third.inside { try process.device.state() }
        }
        #expect(missing.errno == .noSuchDevice)
    }

    @Test("an interface that is not WireGuard's is refused by its kind")
    func otherKind() throws {
        let namespace = try OwnNamespace()
        _ = try namespace.veth("weir-wg0")
        let error = try #require(throws: NetlinkError.self) {
            try namespace.inside { try Netlink().wireGuardDevice("weir-wg0") }
        }
        #expect(error.hint == "it is of kind 'veth', not WireGuard's; rename it")
    }

    @Test("a tun interface at whose socket nobody listens is refused with the command to run")
    func nobodyListens() throws {
        let namespace = try OwnNamespace()
        let name = deviceName()
        try namespace.ip("tuntap", "add", "mode", "tun", "name", name)
        let error = try #require(throws: NetlinkError.self) {
            try namespace.inside { try Netlink().wireGuardDevice(name) }
        }
        #expect(error.errno == .noSuchFileOrDirectory)
        #expect(error.hint?.contains("wireguard-go --foreground \(name)") == true)
    }

    @Test(
        "a process that refuses, talks nonsense, breaks off or is silent is an error of its kind",
        arguments: [
            ("printf 'errno=-22\\n\\n'", EINVAL), ("printf 'hello\\n\\n'", EBADMSG),
            ("printf 'listen_port=1\\n\\n'", EBADMSG), ("printf 'errno=0'", ECONNRESET), ("true", ECONNRESET),
            ("sleep 4", ETIMEDOUT),
        ])
    func badProcess(answer: String, errno: Int32) throws {
        let directory = NSTemporaryDirectory() + "/weirnl-\(UInt64.random(in: 0..<1 << 60))"
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: directory) }
        let device = UserspaceDevice(name: "wg0", socketDirectory: directory, patienceSeconds: 1)
        // It hears the whole request before it answers.
        try "sed '/^$/q' >/dev/null\n\(answer)\n".write(
            toFile: "\(directory)/answer", atomically: true, encoding: .utf8)
        let server = try BackgroundCommand([
            "socat", "UNIX-LISTEN:\(device.socketPath),fork", "EXEC:sh \(directory)/answer",
        ])
        defer { server.stop() }
        for _ in 0..<500 where try !device.isRunning() { usleep(20_000) }
        let error = try #require(throws: NetlinkError.self) { try device.apply(DeviceChange(listenPort: 1)) }
        #expect(error.errno.rawValue == errno)
    }
}
