/** Records the calls to the services, except whether a bucket exists and until when objects are restored, before forwarding them. */
import type { S3Services } from "@hayloft/protocols/s3/index.js"

const NOT_RECORDED: ReadonlySet<string | symbol> = new Set(["open", "openConfirmed", "confirm", "restoredUntilMs"])

export class Spy {
  readonly calls: string[] = []

  over({
    buckets,
    objects,
    multipart,
    appends,
    renames,
    transactions,
    moments,
    classes,
    archives,
  }: S3Services): S3Services {
    return {
      buckets: this.spied("buckets", buckets),
      objects: this.spied("objects", objects),
      multipart: this.spied("multipart", multipart),
      appends: this.spied("appends", appends),
      renames: this.spied("renames", renames),
      transactions: this.spied("transactions", transactions),
      moments: this.spied("moments", moments),
      classes,
      archives: this.spied("archives", archives),
    }
  }

  private spied<Room extends object>(name: string, room: Room): Room {
    return new Proxy(room, {
      get: (target, property) => {
        const value: unknown = Reflect.get(target, property, target)
        if (typeof value !== "function" || NOT_RECORDED.has(property)) return value
        return (...args: unknown[]) => {
          this.calls.push(`${name}.${String(property)}`)
          return Reflect.apply(value, target, args) as unknown
        }
      },
    })
  }
}
