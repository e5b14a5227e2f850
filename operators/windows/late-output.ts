/** The side output of records that came after their windows were gone. */
export const LATE_OUTPUT = 'late'
