internal import WeirModel

extension TunnelConfiguration.Lane {
    /// The device as a file that `wg setconf` and `wg syncconf` take unchanged.
    ///
    /// There is no secret in it, so it can be kept and compared. Both commands take a private key away that the file
    /// does not have, and `setconf` the preshared keys: comments say what to run afterwards. Until then no handshake
    /// succeeds, and nothing leaves.
    package var configurationFile: String {
        var lines = [
            "# \(interface), by weir. The private key is not in here, and wg takes it away. Afterwards run:",
            "#   wg set \(interface) private-key FILE   (of the public key \(publicKey.base64))",
        ]
        lines += peers.compactMap { peer in
            peer.presharedKeyFile.map {
                "#   wg set \(interface) peer \(peer.publicKey.base64) preshared-key \(Self.shellWord($0))"
            }
        }
        lines += ["[Interface]", "ListenPort = \(listenPort)"]
        if firewallMark != 0 { lines.append("FwMark = 0x\(String(firewallMark, radix: 16))") }
        for peer in peers {
            lines += ["", "# \(peer.node.onOneLine)", "[Peer]", "PublicKey = \(peer.publicKey.base64)"]
            if let endpoint = peer.endpoint { lines.append("Endpoint = \(endpoint)") }
            // One for each line: a pod that comes is a line that comes.
            lines += peer.allowedIPs.map { "AllowedIPs = \($0)" }
            if peer.persistentKeepalive > 0 { lines.append("PersistentKeepalive = \(peer.persistentKeepalive)") }
        }
        return lines.joined(separator: "\n") + "\n"
    }

    private static func shellWord(_ text: String) -> String {
        "'" + text.split(separator: "'", omittingEmptySubsequences: false).joined(separator: "'\\''") + "'"
    }
}

extension String {
    /// A name can hold anything, and must neither end a comment nor command a terminal.
    var onOneLine: String {
        unicodeScalars.map { scalar in
            switch scalar {
            case "\u{0}"..<" ", "\u{7f}"..."\u{9f}", "\u{2028}", "\u{2029}": scalar.escaped(asASCII: true)
            default: String(scalar)
            }
        }.joined()
    }
}
