// A web service with a template engine and pictures made by a native module.
'use strict';

const express = require('express');
const handlebars = require('handlebars');
const { readFileSync } = require('node:fs');
const path = require('node:path');
const sharp = require('sharp');

const app = express();
const front = handlebars.compile(readFileSync(path.join(__dirname, 'views/front.hbs'), 'utf8'));

app.get('/', (request, response) => {
  response.type('html').send(front({ title: 'The service', things: ['one', 'two'] }));
});

app.post('/echo', express.json(), (request, response) => {
  response.json({ sum: request.body.numbers.reduce((a, b) => a + b, 0) });
});

app.get('/picture', async (request, response) => {
  const picture = sharp({
    create: { width: 64, height: 48, channels: 3, background: 'teal' },
  });
  const bytes = await picture.resize(32).png().toBuffer();
  const { format, width, height } = await sharp(bytes).metadata();
  response.json({ format, width, height });
});

// Loaded when it is first asked for, as many do.
app.use('/more', (request, response, next) => require('./routes/more')(request, response, next));

const server = app.listen(3000, () => console.log('listening'));
process.on('SIGTERM', () => server.close(() => process.exit(0)));
