internal import Foundation

/// A device of `wireguard-go` in a network namespace. Its sockets lie in a directory of its own, whatever others run on
/// this machine: `/var/run/wireguard` is that directory for the process alone. Gone with its owner.
package final class WireGuardProcess {
    private let process: BackgroundCommand

    /// Returns when the device is there and can be asked. The directory is made where it is not there, and stays.
    package init(_ device: String, in namespace: String, sockets directory: String) throws {
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        process = try BackgroundCommand([
            "ip", "netns", "exec", namespace, "unshare", "--mount", "sh", "-c",
            "mkdir -p /var/run/wireguard; mount --bind \(directory) /var/run/wireguard; "
                + "exec wireguard-go --foreground \(device)",
        ])
        for _ in 0..<250 {
            if FileManager.default.fileExists(atPath: "\(directory)/\(device).sock") { return }
            usleep(20_000)
        }
        throw CommandFailure(description: "wireguard-go did not start")
    }

    /// Words to put before a command, such as `wg`, so that it sees the sockets and the namespace.
    package var entering: [String] {
        let namespaces = "/proc/\(process.processID)/ns"
        return ["nsenter", "--mount=\(namespaces)/mnt", "--net=\(namespaces)/net"]
    }

    package func stop() { process.stop() }
}
