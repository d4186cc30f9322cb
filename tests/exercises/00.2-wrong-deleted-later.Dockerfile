# hint: no later one may delete them
FROM busybox:latest
RUN head -c 5000000 /dev/urandom > /random
RUN rm /random
COPY message.txt /message.txt
CMD ["cat", "/message.txt"]
