// Every sentence that the page shows, in English. A translation is another file of the same shape.

import type { Complaint, RefusalCode, Timings } from "../src/index.ts";

const megabytes = (bytes: number): string => (bytes / 1e6).toFixed(1);

export const TEXTS = {
  title: "facemin",
  claim: "Your face stays here.",
  intro:
    "This page reads your face on this device and sends a pseudonym made of it. Your photo never leaves the page, " +
    "and what is sent shows nobody your face.",
  noScript: "This page needs JavaScript: it reads your face on this device, so that your photo need not be sent.",

  loading: {
    heading: "Getting ready",
    files: (loaded: number, total: number) =>
      `Loading the networks that run here: ${megabytes(loaded)} of ${megabytes(total)} MB`,
    starting: "Starting the networks",
    ready: (seconds: number, threads: number) =>
      `Ready after ${seconds.toFixed(1)} s, on ${threads === 1 ? "one thread" : `${threads} threads`}.`,
  },

  session: {
    none: "This page was opened without a session, so that nothing can be sent. You can still see what would be. To enrol or be recognised, open it from the app that uses it.",
    person: (person: string, collection: string) => `You are here as ${person}, in ${collection}.`,
    identify: (collection: string) => `You are here to be recognised in ${collection}.`,
  },

  provider: {
    heading: "The provider",
    name: "Provider",
    recogniser: "Recogniser",
    fingerprint: "Key fingerprint",
    signer: "Signed by",
    unsigned: "nobody",
    expires: "Valid until",
    first: "This browser sees this key for the first time and remembers it from now on.",
    known: "This is the key that this browser knows.",
    details: "The key in full",
    compare: "Compare the fingerprint with one that the provider published elsewhere, if you can.",
  },

  changed: {
    heading: "This is not the key you know",
    text: "The provider's key is not the one that this browser remembers, nor one that follows it. That happens when somebody stands between you and the provider, or when the provider began anew. Nothing was sent.",
    known: "Known until now",
    ask: "Ask the provider, by another way than this page, before you go on.",
    confirm: "I asked, and the provider confirmed the change",
    trust: "Trust the new key",
  },

  untrusted: {
    heading: "A network that nobody vouches for",
    text: "The provider's network is not on facemin's published list. A dishonest network can find out who you are from your second upload on, whatever your secret. Nothing was sent.",
    reason: "Why you trust it all the same",
    trust: "Use this network",
  },

  secret: {
    heading: "Your secret",
    none: "What is sent of your face depends on a secret that only you have. Make one here, or bring the one you have from another device.",
    make: "Make my secret",
    have: "I have one already",
    made: "Your secret was made and is kept in this browser. Without it nobody, not even you, can use what you enrol: keep its words on paper.",
    kept: (fingerprint: string) => `Kept in this browser. Fingerprint ${fingerprint}.`,
    more: "Words, file and code",
    private: "Whoever sees this can be you here. Make sure that nobody looks over your shoulder.",
    showWords: "Show its words",
    hideWords: "Hide the words",
    wordsCaption: "Your secret in 24 words, for paper",
    saveFile: "Save it as a file",
    showCode: "Show it as a code for my phone",
    hideCode: "Hide the code",
    codeLabel: "Your secret as a QR code",
    wordsLabel: "Its 24 words",
    wordsHint: "In their order, with blanks between them. The first four letters of each are enough.",
    takeWords: "Use these words",
    fileLabel: "Its file",
    scan: "Scan its code with the camera",
    scanning: "Hold the code into the camera.",
    stopScan: "Stop",
    taken: "Your secret is here now.",
    forget: "Remove it from this browser",
    forgetAsk:
      "Without its words or its file you cannot get it back, and everything that you enrolled with it is lost. What goes on to lie here are marks of the photos that were sent, so that none is sent again under another secret.",
    forgetYes: "Remove it",
    forgetNo: "Keep it",
    forgotten: "The secret is gone from this browser.",
    fileName: "facemin-secret.json",
  },

  photo: {
    heading: "Your photo",
    choose: "Choose a photo",
    camera: "Use the camera",
    take: "Take the picture",
    stop: "Stop the camera",
    samples: "To try it out:",
    sample: (name: string) => `Sample photo: ${name}`,
    noCamera: "The camera cannot be used. Allow it in the browser, or choose a photo.",
    looking: "Looking for your face",
    found: "Your face was found.",
    holdStill: "Good: hold still and take the picture.",
    label: "Your photo, with a box around each face",
    needsSecret: "Make your secret first, or bring it here.",
    sentBefore: "This photo was sent before. Nothing is sent twice: choose another one to send.",
    complaints: {
      no_face: "No face was found. Look straight into the camera, with your whole face in the picture.",
      at_edge: "Your face is at the edge. Move it to the middle.",
      several: "There are two people. Only the larger face, in the stronger box, is used.",
      small: "Your face is small. Come nearer, or choose a larger photo.",
      dark: "It is too dark. Turn towards the light.",
      bright: "It is too bright. Turn away from the light.",
    } satisfies Record<Complaint, string>,
  },

  sides: {
    heading: "What stays and what goes",
    stays: "Stays here",
    staysText: "Your face, cut out and upright",
    staysLabel: "Your face, which stays on this device",
    goes: "Is sent",
    numbers: (count: number, bytes: number) => `${count} numbers, ${bytes} bytes`,
    numbersLabel: (count: number) => `${count} numbers as bars: what is sent of your face`,
    image: (bytes: number) => `An image painted for those numbers, ${bytes} bytes`,
    imageLabel: "The image that is sent in place of your face",
    form: "Send",
    auto: "numbers",
    autoHint: "smaller, and recognised best",
    picture: "an image",
    pictureHint: "for providers that take images only",
    explained:
      "With your secret it says that it is you; without it, it looks like a random point to anybody, the provider included.",
    none: "Choose a photo to see both.",
  },

  actions: {
    heading: "What you can do",
    enrol: "Enrol",
    enrolHint: "The provider remembers what is sent, so that it knows you next time.",
    verify: "Verify",
    verifyHint: "Is this the person who enrolled?",
    identify: "Identify",
    identifyHint: "Who is this, among those enrolled under your secret?",
    renew: "Renew",
    renewHint: "Put a fresh pseudonym in place of the old one, which becomes useless.",
    renewSecond:
      "The first photo proves that it is you. Now choose a second one, which was never sent: it takes the place of what is enrolled.",
    renewSecret: "Your secret",
    renewKeep: "Keep my secret",
    renewKeepHint: "a fresh pseudonym under the same secret",
    renewChange: "Change my secret too",
    renewChangeHint: "where somebody may have seen it, or has a device of yours",
    renewWords:
      "Write these words down before you finish: from then on they are your secret here, and the old ones open nothing.",
    renewWordsCaption: "Your next secret in 24 words, for paper",
    renewFinish: "Finish the renewal",
    renewCancel: "Do not renew",
    remove: "Delete me",
    removeHint: "The provider deletes everything that it holds of you, and ends this session.",
    removeAsk: (person: string) => `The provider deletes everything it holds of ${person}. This cannot be taken back.`,
    removeYes: "Delete everything of me",
    removeNo: "Keep it",
    ended: "This session has ended.",
    working: "Sending",
    needsPhoto: "Choose a photo first.",
  },

  held: {
    heading: "What the provider holds of you",
    none: "Nothing.",
    some: (faces: number, epoch: number) =>
      `${faces === 1 ? "One enrolled pseudonym" : `${faces} enrolled pseudonyms`}, epoch ${epoch}. No photo.`,
  },

  verdict: {
    enrolled: "You are enrolled.",
    accepted: "Yes, it is you.",
    rejected: "No: this does not look like the person who enrolled.",
    identified: (person: string) => `This is ${person}.`,
    nobody: "Nobody enrolled under your secret looks like this.",
    score: (score: number, threshold: number) => `Likeness ${score.toFixed(3)}, needed ${threshold.toFixed(3)}`,
    renewed: (epoch: number) => `Renewed: you are enrolled under epoch ${epoch}, and the old pseudonym is useless.`,
    renewedSecret: (epoch: number) =>
      `Renewed under your new secret: you are enrolled under epoch ${epoch}, and the old secret is of no use here any more.`,
    removed:
      "The provider holds nothing of you any more. This session has ended with it: to enrol anew, open this page again from the app.",
  },

  times: {
    heading: "Times",
    stages: {
      detect: "Finding the face",
      embed: "Reading it",
      rotate: "Making the pseudonym",
      encode: "Making what is sent",
      ask: "Asking for a challenge",
      send: "Sending, and the provider's answer",
    } satisfies Record<keyof Timings, string>,
    total: "Together",
    milliseconds: (value: number) => `${Math.round(value)} ms`,
  },

  refusals: {
    photo: "This is no photo that the browser can read, or it is too large.",
    no_face: "No face was found that could be used.",
    other_person: "This looks like somebody else than the one whose secret this is. One secret is for one person.",
    reused: "This photo, or one nearly the same, was sent before. Take a new one: turn your head a little.",
    key: "The provider sent a key that is damaged or was changed. Nothing was sent.",
    damaged: "A file came damaged. Nothing was sent. Load this page again.",
    key_expired: "The provider's key has expired. Nothing was sent; the provider has to publish a new one.",
    key_changed: "The provider's key is not the one you know. Nothing was sent.",
    no_space: "The provider's key is of an older kind, without pseudonyms. Nothing was sent.",
    untrusted: "The provider's network is not on the published list. Nothing was sent.",
    protector: "The provider offers no network that paints an image. Send numbers instead.",
    not_reached: "The image did not come out well enough, and nothing was sent. Try again, or send numbers.",
    secret: "This is no secret of facemin.",
    stored: "What this browser keeps is damaged, or belongs to another secret.",
    browser: "This browser cannot do it.",
    input: "This cannot be used.",
    insecure:
      "This page was opened at an address that is not secure (http). Browsers give a page what it needs over https only: open it there. Nothing was sent.",
    token:
      "This link holds a token that must never lie in a page. Nothing was sent. Whoever made the link should withdraw that token, and make sessions instead.",
    unreachable: "The provider cannot be reached. Check the connection and try again.",
    provider: "The provider refused.",
    failed: "Something went wrong that should not have. Nothing more was sent.",
  } satisfies Record<RefusalCode | "failed", string>,

  provider_refusals: {
    session_deleted: "You were deleted here, and this session ended with it. Open this page again from the app.",
    session_replaced:
      "Your enrolment was replaced elsewhere, and this session ended with it. Open this page again from the app.",
    token_in_page: "This link holds a token that must never lie in a page. Nothing was done.",
    unauthorised: "Your session has ended. Open this page again from the app.",
    forbidden: "Your session does not allow this. Open this page again from the app.",
    other_person: "Your session is for somebody else.",
    needs_enrolment: "Nobody is enrolled here yet in this way: enrol first.",
    person_not_found: "Nobody is enrolled here yet: enrol first.",
    not_possessed: "The provider does not know your secret: enrolled was another one.",
    other_secret: "Enrolled here is another secret. If you lost it, the provider's staff can enrol you anew.",
    admin_only: "Enrolled here is another secret. If you lost it, the provider's staff can enrol you anew.",
    wrong_epoch: "Your pseudonym was renewed elsewhere. Choose the photo again.",
    not_renewed: "The first photo did not look enough like the enrolled one. Nothing was changed: take a better photo.",
    plain_face: "The provider took the image for a plain face and refused it.",
    pseudonyms_off: "This collection takes no pseudonyms, and nothing was sent without one.",
    features_off: "This provider takes images only.",
    replayed_upload: "This was sent before.",
    too_many_requests: "Too many requests. Wait a moment and try again.",
    no_key: "The provider has no key in force. Try again later.",
    too_large: "What was to be sent is too long for the provider.",
    wrong_challenge: "The provider's challenge has run out. Try again.",
    busy: "The provider is busy. Wait a moment and try again.",
    too_many_templates: "The provider keeps no more enrolments of you. Renew, to put one in place of them.",
  } as Readonly<Record<string, string>>,

  details: "In technical words",
  footer: "What is measured and what is not:",
  about: "about facemin",
} as const;
