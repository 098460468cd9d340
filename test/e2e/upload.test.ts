// What goes wrong during an upload, three times each: no wrong outcome. `npm run bench -- --faults` tries each 30 times.
import * as assert from 'uvu/assert'
import { faults, Field } from '../../bench/faults.ts'
import { suite } from '../lib/suite.ts'

const upload = suite<{ field: Field }>('upload')
upload.before(async (context) => void (context.field = await Field.make()))
upload.after(({ field }) => field.remove())

for (const fault of faults)
  upload(`${fault}: the old binary runs on, or the new one with a true receipt`, async ({ field }) => {
    const { wrong } = await field.tally(fault, 3)
    assert.equal(wrong, [], wrong.join('\n'))
  })

upload.run()
