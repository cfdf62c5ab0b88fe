/** Limits of identities, equal to Amazon's, so that what works here works there. Those of policies: `policy/limits.ts`. */
export const IDENTITY_LIMITS = {
  accessKeysPerUser: 2,
  /** Service keys of a user. */
  serviceKeysPerUser: 100,
  groupsPerUser: 10,
  attachedPoliciesMax: 10,
  policyVersionsMax: 5,
  tagsMax: 50,
  clientIdsPerProvider: 100,
  thumbprintsPerProvider: 5,
  providersPerAccount: 100,
} as const
