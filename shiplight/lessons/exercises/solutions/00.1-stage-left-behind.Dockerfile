FROM busybox:latest AS mess
RUN head -c 5000000 /dev/zero > /zeros
RUN rm /zeros

FROM busybox:latest
COPY message.txt /message.txt
CMD ["cat", "/message.txt"]
