package import WeirMaps

/// The calls that a fault can hit.
package enum MapOperation: String, Hashable, Sendable, CaseIterable {
    case create, lookup, update, delete, entries
}

/// Which calls of emulated maps fail, and how. Counts over every map that shares the plan, so that a
/// test can walk a fault through a whole sequence of operations.
///
/// A class because the count is common to all maps of a factory.
package final class FaultPlan {
    package struct Fault: Hashable, Sendable {
        package var operation: MapOperation
        /// Only calls on the map of this name count; nil: on any.
        package var map: String?
        /// The call that fails, from 1.
        package var call: Int
        package var error: MapError

        package init(_ operation: MapOperation, map: String? = nil, call: Int, error: MapError) {
            self.operation = operation
            self.map = map
            self.call = call
            self.error = error
        }
    }

    private var pending: [(fault: Fault, seen: Int)]
    /// Every call so far, failed ones included.
    package private(set) var calls: [MapOperation: Int] = [:]

    package init(_ faults: [Fault] = []) { pending = faults.map { ($0, 0) } }

    package func add(_ fault: Fault) { pending.append((fault, 0)) }

    func check(_ operation: MapOperation, on map: String) throws(MapError) {
        calls[operation, default: 0] += 1
        var hit: MapError?
        for index in pending.indices {
            let fault = pending[index].fault
            guard fault.operation == operation, fault.map == nil || fault.map == map else { continue }
            pending[index].seen += 1
            if pending[index].seen == fault.call { hit = hit ?? fault.error }
        }
        if let hit { throw hit }
    }
}
