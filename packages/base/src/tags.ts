/** Tags of a bucket, an object, an identity, a policy or a key, in their order. */
export type Tags = readonly (readonly [key: string, value: string])[]
