/// The name that a typing error most likely meant: at most a third of its letters away (two for
/// short names), the alphabetically first of equals, nil if none is that near.
package func nearestName(to name: String, among names: some Sequence<String>) -> String? {
    let limit = max(2, name.count / 3)
    let wanted = Array(name.lowercased().utf8.prefix(100))
    return names.map { (distance: editDistance(wanted, Array($0.lowercased().utf8)), name: $0) }
        .filter { $0.distance <= limit && $0.distance < max(wanted.count, 1) }
        .min { ($0.distance, $0.name) < ($1.distance, $1.name) }?.name
}

/// Insertions, deletions, substitutions.
private func editDistance(_ left: [UInt8], _ right: [UInt8]) -> Int {
    var previous = Array(0...right.count)
    for (row, byte) in left.enumerated() {
        var current = [row + 1]
        for (column, other) in right.enumerated() {
            current.append(
                min(previous[column + 1] + 1, current[column] + 1, previous[column] + (byte == other ? 0 : 1)))
        }
        previous = current
    }
    return previous[right.count]
}
